from __future__ import annotations
import time
from tests.support.crash_lab import *
from tests.support.crash_scenarios import *
import subprocess
async def test_a(lab, moto_store):
    lab._forge=Forge(p)
    for i in range(3):
        async with lab.world(MAIN, moto_store) as e:
            t=time.time()
            c=await e.run(); print("run", time.time()-t)
    p.stdin.close()
import os
