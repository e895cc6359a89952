// viem, as it is, against a Grid node: what an application does.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import {
  BaseError,
  ContractFunctionRevertedError,
  InsufficientFundsError,
  createPublicClient,
  createWalletClient,
  defineChain,
  http,
  parseEther,
  parseEventLogs,
  webSocket,
} from 'viem';
import { privateKeyToAccount } from 'viem/accounts';

const { GRID_RPC, GRID_WS, GRID_KEY, GRID_ABI } = process.env;
const abi = (name) => JSON.parse(readFileSync(`${GRID_ABI}/${name}.json`, 'utf8'));
const staking = { address: '0x0000000000000000000000000000000000001006', abi: abi('Staking') };
const registry = { address: '0x0000000000000000000000000000000000001001', abi: abi('Registry') };
const account = privateKeyToAccount(GRID_KEY);
const friend = '0x00000000000000000000000000000000000000f1';

const id = await createPublicClient({ transport: http(GRID_RPC) }).getChainId();
const chain = defineChain({
  id,
  name: 'Grid',
  nativeCurrency: { name: 'GRID', symbol: 'GRID', decimals: 18 },
  rpcUrls: { default: { http: [GRID_RPC], webSocket: [GRID_WS] } },
});
const reader = createPublicClient({ chain, transport: http(), pollingInterval: 100 });
const wallet = createWalletClient({ chain, account, transport: http() });
const socket = createPublicClient({ chain, transport: webSocket() });

// What is told over the WebSocket while the rest runs.
const heads = [];
const events = [];
const unwatch = [
  socket.watchBlocks({ onBlock: (block) => heads.push(block), onError: (error) => assert.fail(error) }),
  socket.watchContractEvent({ ...staking, onLogs: (logs) => events.push(...logs), onError: (error) => assert.fail(error) }),
];
await new Promise((done) => setTimeout(done, 200));

// A transfer, with all that viem fills in.
const before = await reader.getBalance({ address: friend });
const sent = await wallet.sendTransaction({ to: friend, value: parseEther('1.5') });
const receipt = await reader.waitForTransactionReceipt({ hash: sent });
assert.equal(receipt.status, 'success');
assert.equal(receipt.gasUsed, 21000n);
assert.equal((await reader.getBalance({ address: friend })) - before, parseEther('1.5'));
const block = await reader.getBlock({ blockHash: receipt.blockHash, includeTransactions: true });
const found = block.transactions.find((one) => one.hash === sent);
assert.equal(found.from.toLowerCase(), account.address.toLowerCase());
assert.deepEqual(await reader.getTransaction({ hash: sent }), found);
for (const blockTag of ['latest', 'safe', 'finalized', 'pending', 'earliest']) {
  assert((await reader.getBlock({ blockTag })).hash, blockTag);
}

// A system contract: code, reads, a write, its event, a refusal with its reason.
assert.notEqual(await reader.getCode({ address: staking.address }), undefined);
const [delegate] = await reader.readContract({ ...staking, functionName: 'candidates' });
const [number] = await reader.readContract({ ...staking, functionName: 'epoch' });
assert.equal(typeof number, 'bigint');
const { request, result: shares } = await reader.simulateContract({
  ...staking,
  account,
  functionName: 'delegate',
  args: [delegate],
  value: parseEther('2'),
});
const delegated = await reader.waitForTransactionReceipt({ hash: await wallet.writeContract(request) });
assert.equal(delegated.status, 'success');
const [event] = parseEventLogs({ abi: staking.abi, logs: delegated.logs, eventName: 'Delegated' });
assert.equal(event.args.holder, account.address);
assert.equal(event.args.shares, shares);
const range = { fromBlock: receipt.blockNumber, toBlock: delegated.blockNumber };
const searched = await reader.getContractEvents({ ...staking, eventName: 'Delegated', args: { delegate }, ...range });
assert.equal(searched.at(-1).transactionHash, delegated.transactionHash);
const refusal = await reader
  .simulateContract({ ...registry, account, functionName: 'setStatus', args: ['0x' + '11'.repeat(32), 1] })
  .then(() => assert.fail('taken'), (error) => error.walk((one) => one instanceof ContractFunctionRevertedError));
assert(refusal.reason.length > 0);

// Fees, and words that viem understands.
const history = await reader.getFeeHistory({ blockCount: 4, rewardPercentiles: [20, 80] });
assert.equal(history.baseFeePerGas.length, history.gasUsedRatio.length + 1);
assert((await reader.estimateFeesPerGas()).maxFeePerGas > 0n);
const poor = privateKeyToAccount('0x' + '77'.repeat(32));
const broke = await wallet
  .sendTransaction({ account: poor, to: friend, value: 1n })
  .then(() => assert.fail('taken'), (error) => error);
assert(broke instanceof BaseError && broke.walk((one) => one instanceof InsufficientFundsError), broke.message);

// A filter without a WebSocket.
const filter = await reader.createBlockFilter();
const height = await reader.getBlockNumber({ cacheTime: 0 });
while ((await reader.getBlockNumber({ cacheTime: 0 })) < height + 2n) await new Promise((done) => setTimeout(done, 50));
assert((await reader.getFilterChanges({ filter })).length >= 2);
assert.equal(await reader.uninstallFilter({ filter }), true);

// What was told meanwhile, in order and without a gap.
const deadline = Date.now() + 20_000;
while (!events.some((one) => one.transactionHash === delegated.transactionHash) || heads.at(-1)?.number < delegated.blockNumber) {
  assert(Date.now() < deadline, `${heads.length} blocks and ${events.length} events were told`);
  await new Promise((done) => setTimeout(done, 50));
}
heads.slice(1).forEach((head, index) => assert.equal(head.number, heads[index].number + 1n));
unwatch.forEach((stop) => stop());
console.log(`viem: ${heads.length} blocks and ${events.length} events over the WebSocket`);
process.exit(0);
