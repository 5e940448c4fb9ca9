
import collections
import tests.integration.uploads.test_upload_states as t
c=collections.Counter()
o=t.Transfers.ended
def ended(self,model,row,attempts):
    c["ended:"+row["state"]+":"+str(row["failure_reason"])]+=1; return o(self,model,row,attempts)
t.Transfers.ended=ended
o2=t.Transfers.finish
def finish(self):
    for m in self.models: c["before finish:"+m.seen]+=1
    o2(self)
    for m in self.models: c["final:"+m.state]+=1
t.Transfers.finish=finish
o3=t.Transfers.run_the_assembler
def run(self,i,life):
    r=o3(self,i,life); c["run killed" if life._ends_at and len(life.calls)>=life._ends_at else "run lived"]+=1
    return r
t.Transfers.run_the_assembler=run
o4=t.Transfers.run_the_clean_up
def run4(self,life):
    r=o4(self,life); c["clean killed" if life._ends_at and len(life.calls)>=life._ends_at else "clean lived"]+=1
    return r
t.Transfers.run_the_clean_up=run4
def pytest_sessionfinish(session, exitstatus): print("\n", dict(c))

for n in ["sign","put","put_all","put_and_hear_nothing","put_half","put_something_else","report_failures","resume","complete","send_it_all","abort","delete_media","storage_spoils_a_chunk","a_message_is_lost","assemble","send_and_assemble","a_day_goes_by","urls_die","leases_end","minutes_go_by","clean_up","create"]:
    def w(n=n):
        f0=getattr(t.Transfers,n)
        import functools
        @functools.wraps(f0)
        def f(self,*a,**k):
            c["rule "+n]+=1
            return f0(self,*a,**k)
        setattr(t.Transfers,n,f)
    w()
