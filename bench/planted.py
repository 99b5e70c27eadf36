"""usage: planted.py TEST_LOCALIZE_PLANTED SEEDS   how many reports on models built by hand hold a false verdict, as one JSON line"""
import json
import os
import re
import subprocess
import sys

done = subprocess.run([sys.argv[1]], env=os.environ | {"SN_PLANTED_SEEDS": sys.argv[2]}, capture_output=True, text=True)
found = re.findall(r"(\w+): (\d+) of (\d+) reports hold a false verdict; ([\d.]+) %", done.stdout + done.stderr)
text = "; ".join(f"{name} {bad} of {n} ({cells} % of cells undetermined)" for name, bad, n, cells in found)
print(json.dumps({"ok": done.returncode == 0 and bool(found), "agreement": f"reports with a false verdict: {text}" if found else "nothing was counted"}))
