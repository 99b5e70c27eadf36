"""usage: planted.py TEST_LOCALIZE_PLANTED SEEDS   how many reports on models built by hand hold a false verdict, as one JSON line"""
import json
import os
import subprocess
import sys

done = subprocess.run([sys.argv[1]], env=os.environ | {"SN_PLANTED_SEEDS": sys.argv[2]}, capture_output=True, text=True)
lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if "false verdict" in line]
print(json.dumps({"ok": done.returncode == 0 and bool(lines), "agreement": "; ".join(lines) or "nothing was counted"}))
