import time
from archiver.simulator import *
from tests.support.world import calls
def test_x(desk):
    t=time.time()
    d = desk(Account(recordings=calls(6), faults=(Fault(on=Operation.AUDIO, do=Html(), recording=3, times=None),)))
    print("world", time.time()-t)
    for words in ["sync", "sync --json", "status", "status --json", "search", "search --json --limit 1", "explain 1", "explain 1 --json", "doctor", "doctor --json", "check", "plan", "plan --json", "verify --all", "retry --all", "db upgrade", "accept 1 --by a --reason b", "explain 99", "", "db", "nonsense", "sync --x", "fetch 1 -o /tmp/nodir/x", "search --since 0001-01-01T00:00:00+05:30", "search --number \udcff"]:
        t=time.time()
        r = d.run(*words.split())
        print("=====", words, "->", r.code, f"{time.time()-t:.2f}s"); print(r.out); print("--err"); print(r.err[:3000])
