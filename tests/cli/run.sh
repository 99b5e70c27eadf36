#!/usr/bin/env bash
# usage: run.sh SONDE   – the command line from outside: help, mistakes, exit codes, formats, locale, full disk.
set -uo pipefail
sonde=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset SONDE_STORE
export XDG_STATE_HOME=$work/state
failed=0 passed=0

# check NAME EXPECTED_CODE [STDERR_PATTERN] -- COMMAND...   stdout is left in $work/out
check() {
	local name=$1 want=$2 pattern=; shift 2
	[ "$1" = -- ] || { pattern=$1; shift; }
	shift
	"$@" >"$work/out" 2>"$work/err" </dev/null
	local got=$?
	if [ $got -ne "$want" ]; then
		echo "FAILED $name: exit code $got, expected $want: $(head -1 "$work/err")"; failed=$((failed + 1)); return
	fi
	if [ -n "$pattern" ] && ! grep -qE -- "$pattern" "$work/err"; then
		echo "FAILED $name: standard error lacks /$pattern/: $(head -1 "$work/err")"; failed=$((failed + 1)); return
	fi
	if [ "$want" -ne 0 ] && [ "$(wc -l <"$work/err")" -ne 1 ]; then
		echo "FAILED $name: an error is one line: $(cat "$work/err")"; failed=$((failed + 1)); return
	fi
	passed=$((passed + 1))
}
# holds NAME COMMAND...: the command succeeds
holds() {
	local name=$1; shift
	if "$@" >"$work/holds" 2>&1; then passed=$((passed + 1)); else echo "FAILED $name: $(head -3 "$work/holds")"; failed=$((failed + 1)); fi
}

check "no words" 0 -- "$sonde"
holds "the overview lists commands" grep -q 'runs list' "$work/out"
check "--help" 0 -- "$sonde" --help
check "--version" 0 -- "$sonde" --version
holds "the version is a version" grep -qE '^sonde [0-9]+\.[0-9]+\.[0-9]+$' "$work/out"

# every command and every method explains itself, with its usage, and an example that begins as it is called
commands=$("$sonde" --help | sed -n '/^Commands:/,/^$/p' | sed -nE 's/^  ([a-z]+( [a-z]+)?)  .*/\1/p')
[ -n "$commands" ] || { echo "FAILED: no commands found in the overview"; failed=$((failed + 1)); }
while read -r command; do
	# shellcheck disable=SC2086
	check "help of $command" 0 -- "$sonde" $command --help
	holds "usage of $command" grep -q "^Usage: sonde $command" "$work/out"
	holds "example of $command" grep -q "^  sonde $command" "$work/out"
	# shellcheck disable=SC2086
	check "unknown option of $command" 2 'did you mean --format' -- "$sonde" $command --fromat json
	# shellcheck disable=SC2086
	check "bad choice of $command" 2 'one of table\|json\|csv' -- "$sonde" $command --format xml
done <<<"$commands"

tiny=$(dirname "$0")/../golden/tiny/gqa-tied
echo '{"texts": ["the keys", "the key"], "edits": [{"op": "zero", "at": "blocks.0.hook_attn_out", "where": "last", "rows": [1]}],
 "goals": [{"metric": "loss", "where": "all"}]}' >"$work/plan.json"
check "a plan runs" 0 -- "$sonde" run "$work/plan.json" --model "$tiny" --format json
holds "a plan's goals are JSON" python3 -c "import json; r=json.load(open('$work/out')); assert [g[2] for g in r['tables'][0]['rows']] == [False, True]"
check "a plan from standard input" 2 'standard input' -- "$sonde" run - --model "$tiny"
sed 's/zero/nil/' "$work/plan.json" >"$work/bad.json"
check "a wrong plan" 2 'bad.json: edits\[0\].op: "nil" is none of' -- "$sonde" run "$work/bad.json" --model "$tiny"
check "text is generated" 0 -- "$sonde" generate --model "$tiny" --text "the keys" --max-tokens 5 --eos none --format json
holds "generated tokens are JSON" python3 -c "import json; r=json.load(open('$work/out')); assert len(r['tables'][1]['rows']) == 5"
check "steered text is generated" 0 -- "$sonde" generate --model "$tiny" --plan "$work/plan.json" --max-tokens 5 --beams 3 --n 2
check "no prompt" 2 'either --text TEXT or --data' -- "$sonde" generate --model "$tiny"
check "filters without draws" 2 'add --sample' -- "$sonde" generate --model "$tiny" --text a --top-k 3

check "items are made" 0 -- "$sonde" data make en/number-agreement --items 300 --seed 3
holds "items are JSONL" python3 -c "import json,sys; rows=[json.loads(l) for l in open('$work/out')]; sys.exit(not (300 <= len(rows) < 450 and {r['use'] for r in rows} == {'probe','main','attractor','placebo'}))"
mv "$work/out" "$work/items.jsonl"
check "items follow from the seed" 0 -- "$sonde" data make en/number-agreement --items 300 --seed 3 --out "$work/again.jsonl"
holds "items are the same again" cmp "$work/items.jsonl" "$work/again.jsonl"
check "an unknown phenomenon" 2 'en/number-agreement' -- "$sonde" data make en/nothing

check "unknown command" 2 'did you mean "methods"' -- "$sonde" metods
check "unknown member" 2 'did you mean "runs list"' -- "$sonde" runs lis
check "family alone" 0 -- "$sonde" runs
check "help word" 0 -- "$sonde" help runs list
check "stray operand" 2 'takes options only' -- "$sonde" methods stray
check "missing operand" 2 'expected RUN' -- "$sonde" runs show
check "missing value" 2 'needs a value' -- "$sonde" methods --format
check "bad number" 2 'an integer from 0 to 4096' -- "$sonde" methods --threads many
check "single dash" 2 '--name value' -- "$sonde" methods -x
check "no store" 2 'which store' -- "$sonde" runs list
check "absent store" 2 'no such store' -- "$sonde" runs list --store "$work/none.sqlite"
echo "not a database, only some text that is long enough to be read as a header" >"$work/text"
check "not a store" 2 'not a database' -- "$sonde" runs list --store "$work/text"

# models: the committed tiny ones need no download
tiny=$(dirname "$0")/../golden/tiny/gqa-tied
check "model info" 0 -- "$sonde" model info "$tiny"
holds "its width" grep -qE '^d_model +16$' "$work/out"
check "model info as JSON" 0 -- "$sonde" model info "$tiny/model.gguf" --format json
holds "memory in every precision" python3 -c '
import json, sys
f = json.load(open(sys.argv[1]))
f32, three, one = (f["weights in memory, " + p] for p in ("f32", "bf16x3", "bf16"))
assert f32 == three == 2 * one > 0 and f["bfloat16 unit"] in ("none", "vector", "matrix")' "$work/out"
holds "typed JSON" python3 -c 'import json,sys; m=json.load(open(sys.argv[1])); assert m["layers"] == 2 and len(m["sha256"]) == 64' "$work/out"
check "model sites" 0 -- "$sonde" model sites "$tiny" --format csv
holds "every site of a block" grep -q '^blocks.\*.hook_resid_post,2,"\[positions, 16\]"$' "$work/out"
check "model sites, expanded" 0 -- "$sonde" model sites "$tiny" --expand
holds "one row a layer" grep -q '^blocks.1.hook_resid_post ' "$work/out"
check "a check that fails" 1 'No better than chance' -- "$sonde" model check "$tiny" --quiet
check "two models" 2 'two models' -- "$sonde" model check "$tiny" --model "$tiny"
check "no model" 2 'no such model' -- "$sonde" model info "$work/none.gguf"
head -c 200 "$tiny/model.gguf" >"$work/cut.gguf"
check "a truncated model" 2 'cut.gguf' -- "$sonde" model info "$work/cut.gguf"

check "methods as JSON" 0 -- "$sonde" methods --format json
holds "valid JSON" python3 -m json.tool "$work/out"
check "methods as CSV" 0 -- "$sonde" methods --format=csv
holds "valid CSV" python3 -c 'import csv,sys; r=list(csv.reader(open(sys.argv[1]))); assert r and all(len(x)==len(r[0]) for x in r)' "$work/out"

tiny=$(dirname "$0")/../golden/tiny/gqa-tied
bert=$(dirname "$0")/../golden/behaviour/tokenizer.json
check "tokens as CSV" 0 -- "$sonde" tokenize --model "$tiny" --format csv "the key"$'\n'
holds "ids, spans, escapes" diff - "$work/out" <<'END'
text,position,id,token,first,end
0,0,119,t,0,1
0,1,260,he,1,3
0,2,35," ",3,4
0,3,269,key,4,7
0,4,13,\n,7,8
END
check "tokens of lines" 0 -- "$sonde" tokenize --model "$tiny/model.gguf" --data <(printf 'are\r\n\n<|im_end|>') --parse-special --format json
holds "valid JSON of tokens" python3 -m json.tool "$work/out"
check "text that is not UTF-8" 2 'line 2: the text is not UTF-8 at byte 1' -- "$sonde" tokenize --model "$tiny" --data <(printf 'a\nb\xff\n')
check "invalid bytes replaced" 0 -- "$sonde" tokenize --model "$tiny" --data <(printf 'a\xffb\n') --replace-invalid --format csv
holds "U+FFFD is one character" sh -c 'grep -q ",a,0,1$" "$0" && grep -q ",b,2,3$" "$0"' "$work/out"
check "a pair" 0 -- "$sonde" tokenize --model "$bert" --pair --add-special --format csv "the cat" "a dogs"
holds "texts and segments" diff - "$work/out" <<'END'
text,position,id,token,first,end,of,segment
0,0,2,[CLS],0,0,,0
0,1,5,the,0,3,0,0
0,2,7,cat,4,7,0,0
0,3,3,[SEP],7,7,,0
0,4,6,a,0,1,1,1
0,5,8,dog,2,5,1,1
0,6,22,##s,5,6,1,1
0,7,3,[SEP],6,6,,1
END
cp "$work/out" "$work/pair"
check "pairs in a file" 0 -- "$sonde" tokenize --model "$bert" --pair --add-special --format csv --data <(printf 'the cat\ta dogs\n')
holds "the same" cmp "$work/out" "$work/pair"
check "half a pair" 2 'line 1: expected two texts' -- "$sonde" tokenize --model "$bert" --pair --data <(printf 'the cat\n')
check "one text of two" 2 'either TEXT TEXT2' -- "$sonde" tokenize --model "$bert" --pair "the cat"
check "decoding" 0 -- "$sonde" tokenize --model "$bert" --decode "2 5, 8 22 3" --skip-special
holds "text again" test "$(cat "$work/out")" = "the dogs"
check "decoding lines as JSON" 0 -- "$sonde" tokenize --model "$tiny" --decode --data <(printf '119 260 35 269\n\n') --format json
holds "two texts" python3 -c 'import json,sys; assert [r["decoded"] for r in json.load(open(sys.argv[1]))] == ["the key", ""]' "$work/out"
check "no id" 2 'is no token id' -- "$sonde" tokenize --model "$tiny" --decode "1 two"
check "an id too many" 2 'no token has the id' -- "$sonde" tokenize --model "$tiny" --decode "99999"
check "no text to tokenize" 2 'either TEXT or --data' -- "$sonde" tokenize --model "$tiny"
check "no tokenizer" 2 'no such model' -- "$sonde" tokenize --model "$work/none" text

# a method from end to end: terminal, JSON, CSV, folder, store, and back out of the store
printf 'good\tbad\nThe keys are here.\tThe keys is here.\nA dog barks.\tA dog bark.\n' >"$work/pairs.tsv"
pairs=("$sonde" behaviour pairs --model "$tiny" --data "$work/pairs.tsv" --threads 2)
check "a method" 0 'report in' -- "${pairs[@]}" --out "$work/report"
holds "its summary is on standard output" grep -q 'of 2 pairs' "$work/out"
check "quiet" 0 -- "${pairs[@]}" --quiet
holds "quiet is silent" test ! -s "$work/err"
cp "$work/out" "$work/plain"
check "another locale" 0 -- env LC_ALL=ru_RU.UTF-8 LANG=ru_RU.UTF-8 "${pairs[@]}" --quiet
holds "the locale changes no byte" cmp "$work/plain" "$work/out"
check "a method as JSON" 0 -- "${pairs[@]}" --format json
holds "valid JSON" python3 -m json.tool "$work/out"
check "a method as CSV" 0 -- "${pairs[@]}" --format csv
holds "valid CSV" python3 -c 'import csv,sys; r=list(csv.reader(open(sys.argv[1]))); assert len(r) == 4 and all(len(x)==len(r[0]) for x in r)' "$work/out"
check "a method as TSV" 0 -- "${pairs[@]}" --format tsv
holds "valid TSV" awk -F'\t' 'NR == 1 { n = NF } NF != n || n < 10 { bad = 1 } END { exit bad || NR != 4 }' "$work/out"
check "surprisal of a text" 0 -- "$sonde" behaviour surprisal --model "$tiny" --data "$work/pairs.tsv" --column good --bos add --correction space --entropy --tokens --format csv
holds "its words" python3 - "$work/out" <<'END'
import csv, sys
rows = list(csv.DictReader(open(sys.argv[1])))
words = [r for r in rows if r["table"] == "words"]
assert [r["form"] for r in words] == "The keys are here. A dog barks.".split(), words
assert all(float(r["surprisal"]) > 0 and float(r["corrected"]) and float(r["entropy"]) > 0 for r in words)
assert sum(int(r["tokens"]) for r in words) == sum(r["table"] == "tokens" for r in rows)
END
printf 'The keys to the table ___ here.\n' >"$work/gap.txt"
check "a gap" 0 -- "$sonde" behaviour cloze --model "$tiny" --data "$work/gap.txt" --candidates 'are|is' --top 2 --format csv
holds "candidates, gap and top" awk -F, '{ n[$1]++ } END { exit n["candidates"] != 2 || n["gaps"] != 1 || n["top"] != 2 }' "$work/out"
check "a row without a gap" 2 'has no gap; write ___' -- "$sonde" behaviour cloze --model "$tiny" --data "$work/pairs.tsv" --column good
printf 'The {key|keys} [is|are] here.\n' >"$work/template.txt"
check "a template" 0 -- "$sonde" behaviour templates --model "$tiny" --data "$work/template.txt" --format tsv
holds "edits and texts" awk -F'\t' '{ n[$1]++ } END { exit n["edits"] != 2 || n["texts"] != 4 }' "$work/out"
check "surprisal without a column" 2 'no column text; it has good, bad' -- "$sonde" behaviour surprisal --model "$tiny" --data "$work/pairs.tsv"
check "standard input" 0 -- sh -c '"$@" --data - <"$0"' "$work/pairs.tsv" "$sonde" behaviour pairs --model "$tiny" --quiet
holds "valid result.json" python3 -m json.tool "$work/report/result.json"
holds "valid figures" python3 -c 'import sys, xml.dom.minidom as d; [d.parse(f) for f in sys.argv[1:]]' "$work"/report/*.svg
holds "a page without script or network" sh -c '! grep -qE "<script|src=|https?://[^w]" "$0"' "$work/report/report.html"
check "runs list" 0 -- "$sonde" runs list --store "$work/report/runs.sqlite" --format json
holds "one run" python3 -c 'import json,sys; r=json.load(open(sys.argv[1])); assert len(r)==1 and r[0]["status"]=="ok" and r[0]["rows"]==3, r' "$work/out"
check "runs show" 0 -- "$sonde" runs show 1 --store "$work/report/runs.sqlite"
check "runs show as CSV" 0 -- "$sonde" runs show 1 --store "$work/report/runs.sqlite" --format csv
holds "rows as they were" cmp "$work/out" "$work/report/rows.csv"
check "runs export" 0 -- "$sonde" runs export 1 --store "$work/report/runs.sqlite" --out "$work/again"
holds "the same page" cmp "$work/report/report.html" "$work/again/report.html"
toy=$(dirname "$0")/toy.json
localize=("$sonde" localize --model "$tiny" --effort quick --resamples 100 --threads 2 --quiet)
check "a report in Russian" 0 -- "${localize[@]}" --phenomenon "$toy" --lang ru --out "$work/russian"
holds "its summary is Russian" grep -qE 'выбирает форму по признаку «число»|такого выбора не делает' "$work/out"
holds "its page is Russian" grep -q '<h2>Ограничения</h2>' "$work/russian/report.html"
check "it stays Russian" 0 -- "$sonde" runs export 1 --store "$work/russian/runs.sqlite" --out "$work/russian-again"
holds "the same Russian page" cmp "$work/russian/report.html" "$work/russian-again/report.html"
check "two phenomena compared" 0 -- "${localize[@]}" --compare "$toy" "$toy" --out "$work/compared" --format json
holds "rows of both" python3 -c 'import json,sys; t=json.load(open(sys.argv[1]))["tables"]; t={x["name"]: x["rows"] for x in t} if isinstance(t, list) else t; assert len(t["compared_curves"]) == 18 and not t["curves"]' "$work/out"
check "one phenomenon compared" 2 'expected 2 to 8 phenomena' -- "${localize[@]}" --compare "$toy"
check "no such phenomenon" 2 'no such file and no such suite' -- "${localize[@]}" --compare none "$toy"
check "no such language" 2 'expected one of en|ru' -- "${localize[@]}" --lang de
check "no such run" 2 'no run 7' -- "$sonde" runs show 7 --store "$work/report/runs.sqlite"
check "missing input" 2 '--data is missing' -- "$sonde" behaviour pairs --model "$tiny"
check "data that is not there" 2 'none.tsv' -- "$sonde" behaviour pairs --model "$tiny" --data "$work/none.tsv"
check "a folder that cannot be" 2 'cannot make the folder' -- "${pairs[@]}" --out /proc/none
holds "progress, Ctrl-C, rows kept" python3 "$(dirname "$0")/interrupt.py" "$sonde" "$tiny"

if [ -w /dev/full ]; then
	check "full disk" 3 'No space left' -- sh -c '"$0" --help >/dev/full' "$sonde"
	check "full disk below a method" 3 'No space left' -- sh -c '"$@" --format json >/dev/full' sh "${pairs[@]}"
fi

# probes on a small treebank: both kinds, a test file, mistakes
python3 - "$work" <<'END'
import random, sys
random.seed(1)
for name, n in (("train", 40), ("held", 12)):
    with open(f"{sys.argv[1]}/{name}.conllu", "w") as out:
        for _ in range(n):
            for i in range(1, 6):
                k = random.randrange(6)
                out.write(f"{i}\t{'abcdef'[k]}\t_\t{('NOUN', 'VERB', 'DET')[k // 2]}\t_\t_\t{i - 1}\tdep\t_\t_\n")
            out.write("\n")
END
bank=(--model "$tiny" --data "$work/train.conllu" --label upos --resamples 100 --quiet)
check "a probe of words" 0 -- "$sonde" probe linear "${bank[@]}" --test "$work/held.conllu" --out "$work/bank"
holds "tokens per word are told" grep -q '"tokens per word": "[12]\.' "$work/bank/result.json"
holds "its summary" grep -q 'linear probe reads most of upos' "$work/out"
check "a perceptron" 0 -- "$sonde" probe mlp "${bank[@]}" --folds 2 --hidden 2,8 --epochs 3 --format json
holds "valid JSON of a perceptron" python3 -m json.tool "$work/out"
check "an unknown label" 2 'feats.NAME' -- "$sonde" probe linear "${bank[@]}" --label pos
check "sizes that are none" 2 '--hidden wide' -- "$sonde" probe mlp "${bank[@]}" --hidden wide
check "a perceptron wants words" 2 'CoNLL-U' -- "$sonde" probe mlp "${bank[@]}" --data "$work/pairs.tsv"
printf '1\ta\t_\tX\t_\t_\t7\tdep\t_\t_\n' >"$work/bad.conllu"
check "a malformed treebank" 2 'bad.conllu: line 1: the head 7' -- "$sonde" probe linear "${bank[@]}" --data "$work/bad.conllu"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
