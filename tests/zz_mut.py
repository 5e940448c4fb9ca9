import os
m=os.environ["MUT"]
from uploads import staged_chunks, upload_store, transferring, assembling, assembly_store, cleaning
if m=="1":
    staged_chunks.missing=lambda u,c: []
elif m=="2":
    o=upload_store.resume
    upload_store._in=lambda states: upload_store._in_any_time(states)
elif m=="3":
    assembling._read=lambda staging,key,length: staging.read(key,max_bytes=length)
elif m=="4":
    transferring.discard_chunks=lambda *a: None
    cleaning_clean=cleaning._clean
    def c(work,upload):
        from functools import partial
        from uploads import cleaning_store
        cleaning._transact(work, partial(cleaning_store.mark_cleaned, upload_id=upload.id))
    cleaning._clean=c
    cleaning._remove_orphan=lambda *a: None
elif m=="5":
    assembling._made=lambda p,u: None
elif m=="6":
    o=upload_store.count_failure
    upload_store.count_failure=lambda c,u,r: o(c,u,r-1)
elif m=="7":
    # the assembler removes every chunk when one is bad
    o7=assembling._reopen
    def r(places,claimed,received):
        staged_chunks.discard(places.staging, claimed.upload.id); return o7(places,claimed,received)
    assembling._reopen=r
elif m=="8":
    o8=upload_store.begin_assembly
    def b(c,u):
        x=upload_store._move(c, upload_store.uploads.c.id==u, upload_store._in_any_time(("created","uploading")), state="assembling")
        return x
    upload_store.begin_assembly=b
import tests.integration.uploads.test_upload_states as t
import hypothesis
from hypothesis import Phase
real=t.settings
t.settings=lambda **k: real(**k, phases=[Phase.generate], database=None, print_blob=False)
