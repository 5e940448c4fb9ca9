// @tus/server over @tus/s3-store as its README sets it up, on loopback. Prints the port it took.
import { createServer } from 'node:http'
import { S3Store } from '@tus/s3-store'
import { Server } from '@tus/server'

const { S3_ENDPOINT, S3_REGION, S3_BUCKET, S3_ACCESS_KEY, S3_SECRET_KEY } = process.env

const tus = new Server({
  path: '/files',
  datastore: new S3Store({
    s3ClientConfig: {
      bucket: S3_BUCKET,
      region: S3_REGION,
      endpoint: S3_ENDPOINT,
      forcePathStyle: true,
      credentials: { accessKeyId: S3_ACCESS_KEY, secretAccessKey: S3_SECRET_KEY },
      // As our own client: bodies that aren't in aws-chunked pieces, and one try a request.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      maxAttempts: 1,
    },
  }),
})

const server = createServer((request, response) => tus.handle(request, response))
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
