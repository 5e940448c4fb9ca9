// Microsoft's SignalR client, driven from the tests: an order is a line of JSON on standard input,
// {id, order, ...}; its answer, {id, result} or {id, error}, is one on standard output. In between
// come lines about what happens on connections: {connection, event, ...}. To be run where the
// package is installed.
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'

const require = createRequire(`${process.cwd()}/`)
const { HttpTransportType, HubConnectionBuilder, LogLevel } = require('@microsoft/signalr')

const connections = new Map()
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`)
const sentence = (error) => error?.message ?? null

function build({ name, url, token, skipNegotiation, retryDelays }) {
  const kept = { token }
  const builder = new HubConnectionBuilder()
    .withUrl(url, {
      skipNegotiation,
      transport: HttpTransportType.WebSockets,
      accessTokenFactory: () => kept.token,
    })
    .configureLogging(LogLevel.None)
  if (retryDelays) builder.withAutomaticReconnect(retryDelays)
  const hub = builder.build()
  kept.hub = hub
  for (const method of ['DataChanged', 'PermissionsUpdated']) {
    hub.on(method, (...args) => say({ connection: name, event: method, arguments: args }))
  }
  hub.onclose((error) => say({ connection: name, event: 'closed', error: sentence(error) }))
  hub.onreconnecting((error) =>
    say({ connection: name, event: 'reconnecting', error: sentence(error) }))
  hub.onreconnected(() => say({ connection: name, event: 'reconnected' }))
  return kept
}

function streamed(hub, method, args) {
  return new Promise((resolve, reject) => {
    const items = []
    hub.stream(method, ...args).subscribe({
      next: (item) => items.push(item),
      complete: () => resolve(items),
      error: reject,
    })
  })
}

const orders = {
  async start({ name, ...options }) {
    const kept = build({ name, ...options })
    connections.set(name, kept)
    await kept.hub.start()
    return kept.hub.state
  },
  invoke: ({ name, method, arguments: args }) => connections.get(name).hub.invoke(method, ...args),
  stream: ({ name, method, arguments: args }) =>
    streamed(connections.get(name).hub, method, args),
  state: ({ name }) => connections.get(name).hub.state,
  token({ name, token }) {
    connections.get(name).token = token
  },
  async stop({ name }) {
    await connections.get(name).hub.stop()
  },
}

createInterface({ input: process.stdin }).on('line', async (line) => {
  const { id, order, ...rest } = JSON.parse(line)
  try {
    say({ id, result: (await orders[order](rest)) ?? null })
  } catch (error) {
    say({ id, error: sentence(error) })
  }
}).on('close', () => process.exit())
