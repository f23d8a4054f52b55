from __future__ import annotations
import pytest, time
from tests.support.crash_lab import *
from tests.support.crash_scenarios import *

async def test_a(lab, moto_store):
    t=time.time()
    twin = await lab.twin(MAIN, moto_store)
    print("twin", time.time()-t)
    print(*[s for m,s in twin.steps if m=="before"], sep="\n")
    for r in twin.end.recordings: print(r["recording_id"], r["state"], r["problem"])
    print(twin.end.gaps, twin.end.objects, twin.end.deleted, twin.end.accounts)
    for p in [Point("transfer store.create audio","after"), Point("purge source.delete","after")]:
        t=time.time()
        await lab.survives(MAIN, moto_store, p)
        print(time.time()-t)
    
