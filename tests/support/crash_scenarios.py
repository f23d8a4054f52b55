from tests.support.simulator import NOON
from archiver.simulator import *
from tests.support.crash_lab import *
from datetime import timedelta

OLD = NOON - timedelta(days=60)
def call(number, *, start, size=900, **more):
    links = {"download_url": f"https://source.invalid/{number}", "_links": {"self": {"href": f"https://source.invalid/{number}"}}}
    overlay = {**links, **more.pop("overlay", {})}
    return SimRecording(id=number, start=start, size=size, duration_ms=60_000, overlay=overlay, **more)

def old(number, **more): return call(number, start=OLD+timedelta(minutes=number), **more)
def young(number, **more): return call(number, start=NOON-timedelta(hours=20-number), **more)

async def alien(e):
    key = "acme/2024/03/01/010000Z-13.mp3"
    e.world.store.client.put_object(Bucket=e.world.bucket, Key="acme/%s-7.mp3" % (NOON-timedelta(hours=13)).strftime("%Y/%m/%d/%H%M%SZ"), Body=b"alien")

MAIN = Scenario(name="main", account=Account(recordings=(old(1), old(2), old(3, listed_size=1000), old(4, extensions=("9999",)), old(5, overlay={"start": None}),
   young(6), young(7), young(8)), faults=(Fault(on=Operation.AUDIO, do=Html(), recording=8, times=None),)),
   policies={"deletion": {"mode": "automatic", "max_percent": 100}, "policies": [{"name": "old", "source": {"delete_after": "30d"}}, {"name": "private", "match": {"extensions": ["9999"]}, "archive": False}]},
   sync={"page_size": 2}, before=(alien,))
