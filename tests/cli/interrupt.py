"""usage: interrupt.py SONDE MODEL – on a terminal a long run shows its progress; Ctrl-C ends it with 130, finished rows kept."""
import json, os, pty, re, select, signal, sqlite3, subprocess, sys, tempfile, time

sonde, model = sys.argv[1:]
with tempfile.TemporaryDirectory() as work:
    data, store = os.path.join(work, 'pairs.tsv'), os.path.join(work, 'runs.sqlite')
    with open(data, 'w') as f:
        f.write('good\tbad\n')
        for i in range(60000):
            f.write(f'the keys number {i} are here\tthe keys number {i} is here\n')
    master, slave = pty.openpty()
    run = subprocess.Popen([sonde, 'behaviour', 'pairs', '--model', model, '--data', data, '--store', store, '--format', 'json'],
                           stdout=subprocess.PIPE, stderr=slave, stdin=subprocess.DEVNULL)
    os.close(slave)
    shown = b''
    limit = time.time() + 60
    while time.time() < limit and not re.search(rb'tokens [1-9]\d*/\d+ .*/s.*left', shown):
        if select.select([master], [], [], 0.1)[0]:
            shown += os.read(master, 4096)
        assert run.poll() is None, shown
    assert re.search(rb'tokens [1-9]\d*/\d+', shown), shown
    run.send_signal(signal.SIGINT)
    out, _ = run.communicate(timeout=60)
    assert run.returncode == 130, run.returncode
    rows = next(t for t in json.loads(out)['tables'] if t['name'] == 'pairs')['rows']
    assert sqlite3.connect(store).execute('SELECT status FROM sn_run').fetchall() == [('cancelled',)]
    print(len(rows), 'rows kept')
    assert len(rows) > 0
