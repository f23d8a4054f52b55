from __future__ import annotations
import time
from tests.support.crash_lab import *
from tests.support.crash_scenarios import *

async def test_a(lab, moto_store):
    for i in range(3):
        t=time.time()
        async with lab.world(MAIN, moto_store) as e:
            print("world", time.time()-t); t=time.time()
            await e.crash(Point("transfer store.create audio","after")); print("crash", time.time()-t); t=time.time()
            c=await e.run(); print("run", time.time()-t); t=time.time()
            await e._sessions_closed(); print("sess", time.time()-t); t=time.time()
            await e.check_order(); print("order", time.time()-t); t=time.time()
            await e.end_state(); print("end", time.time()-t); t=time.time()
        print("close", time.time()-t)
