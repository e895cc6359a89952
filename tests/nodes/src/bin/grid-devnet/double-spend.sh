#!/bin/sh
# double-spend TXID: takes the block with one of the traffic's payments out of the chain, and puts another block into its
# place that spends the payment's coin otherwise.
set -eu
address='@ADDRESS@'
field() { sed -n "s/.*\"$1\": \"\{0,1\}\([0-9a-f]*\).*/\1/p"; }
run() {
  echo "bitcoin-cli $*"
  bitcoin-cli "$@"
}
# A block of the traffic that comes in between has the payment again.
for attempt in 1 2 3 4 5; do
  payment=$(bitcoin-cli getrawtransaction "$1" 1)
  block=$(printf '%s\n' "$payment" | field blockhash)
  [ -z "$block" ] || run invalidateblock "$block"
  input=$(printf '%s\n' "$payment" | sed -n '/"vin"/,/\]/p')
  txid=$(printf '%s\n' "$input" | field txid)
  vout=$(printf '%s\n' "$input" | field vout)
  coin="{\"txid\":\"$txid\",\"vout\":$vout}"
  raw=$(bitcoin-cli createrawtransaction "[$coin]" "[{\"$address\":0.0001}]")
  conflict=$(bitcoin-cli signrawtransactionwithkey "$raw" '["@KEY@"]' | field hex)
  if run generateblock "$address" "[\"$conflict\"]"; then exit 0; fi
  echo "double-spend: a block came in between (attempt $attempt)" >&2
done
exit 1
