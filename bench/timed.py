"""usage: timed.py WHAT COMMAND...   runs a command, prints one JSON line: wall seconds, processor seconds, peak memory."""
import json, resource, subprocess, sys, time
start = time.time()
code = subprocess.run(sys.argv[2:], stdout=subprocess.DEVNULL).returncode
use = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps({"what": sys.argv[1], "wall_s": round(time.time() - start, 3), "cpu_s": round(use.ru_utime + use.ru_stime, 2),
                  "rss_gb": round(use.ru_maxrss / 1e6, 3), "exit": code}))
sys.exit(code)
