#!/bin/sh
# pay-and-say ADDRESS BTC DATA: one transaction of the miner's that pays an address and has an OP_RETURN output with the data
# (hexadecimal). It prints the transaction's id; the next block of the traffic takes it.
set -eu
miner='@ADDRESS@'
height=$(bitcoin-cli getblockcount)
# The youngest reward that may be spent: the traffic takes the oldest.
coin=$(bitcoin-cli scantxoutset start "[\"addr($miner)\"]" | awk -v height="$height" '
  { value = $2; gsub(/[",]/, "", value) }
  $1 == "\"txid\":" { txid = value }
  $1 == "\"vout\":" { vout = value }
  $1 == "\"amount\":" { amount = value }
  $1 == "\"height\":" && txid != "" && amount >= 1 && value + 100 <= height { found = txid " " vout " " amount }
  END { print found }')
set -- "$1" "$2" "$3" $coin
change=$(awk -v have="$6" -v paid="$2" 'BEGIN { printf "%.8f", have - paid - 0.0001 }')
raw=$(bitcoin-cli createrawtransaction "[{\"txid\":\"$4\",\"vout\":$5}]" \
  "[{\"$1\":$2},{\"data\":\"$3\"},{\"$miner\":$change}]")
signed=$(bitcoin-cli signrawtransactionwithkey "$raw" '["@KEY@"]' | sed -n 's/.*"hex": "\(.*\)",/\1/p')
bitcoin-cli sendrawtransaction "$signed"
