// ethers, as it is, against a Grid node: what an application does.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Contract, JsonRpcProvider, Wallet, WebSocketProvider, isCallException, isError, parseEther } from 'ethers';

const { GRID_RPC, GRID_WS, GRID_KEY, GRID_ABI } = process.env;
const abi = (name) => JSON.parse(readFileSync(`${GRID_ABI}/${name}.json`, 'utf8'));
const provider = new JsonRpcProvider(GRID_RPC, undefined, { polling: true, pollingInterval: 100 });
const socket = new WebSocketProvider(GRID_WS);
const wallet = new Wallet(GRID_KEY, provider);
const friend = '0x00000000000000000000000000000000000000f2';
const staking = new Contract('0x0000000000000000000000000000000000001006', abi('Staking'), wallet);
const registry = new Contract('0x0000000000000000000000000000000000001001', abi('Registry'), wallet);

// What is told over the WebSocket while the rest runs.
const heads = [];
const events = [];
await socket.on('block', (number) => heads.push(number));
await staking.connect(socket).on('Delegated', (...args) => events.push(args.at(-1).log.transactionHash));
await new Promise((done) => setTimeout(done, 200));

// A transfer, with all that ethers fills in.
const before = await provider.getBalance(friend);
const sent = await wallet.sendTransaction({ to: friend, value: parseEther('1.5') });
const receipt = await sent.wait();
assert.equal(receipt.status, 1);
assert.equal((await provider.getBalance(friend)) - before, parseEther('1.5'));
const block = await provider.getBlock(receipt.blockNumber, true);
assert.equal(block.hash, receipt.blockHash);
assert.equal(block.getPrefetchedTransaction(sent.hash).from, wallet.address);
assert.equal((await provider.getTransaction(sent.hash)).blockNumber, receipt.blockNumber);
for (const tag of ['latest', 'safe', 'finalized', 'pending', 'earliest']) {
  assert((await provider.getBlock(tag)).hash, tag);
}

// A system contract: code, reads, a write, its event, a refusal with its reason.
assert.notEqual(await provider.getCode(staking.target), '0x');
const [delegate] = await staking.candidates();
assert.equal(typeof (await staking.epoch()).number, 'bigint');
const delegated = await (await staking.delegate(delegate, { value: parseEther('2') })).wait();
assert.equal(delegated.logs[0].eventName, 'Delegated');
assert.equal(delegated.logs[0].args.holder, wallet.address);
const searched = await staking.queryFilter(staking.filters.Delegated(delegate), receipt.blockNumber, delegated.blockNumber);
assert.equal(searched.at(-1).transactionHash, delegated.hash);
const refusal = await registry.setStatus.staticCall('0x' + '11'.repeat(32), 1).then(() => assert.fail('taken'), (error) => error);
assert(isCallException(refusal) && refusal.reason.length > 0, refusal.message);

// Fees, and words that ethers understands.
const fees = await provider.getFeeData();
assert(fees.maxFeePerGas > 0n && fees.gasPrice > 0n);
const history = await provider.send('eth_feeHistory', ['0x4', 'latest', [20, 80]]);
assert.equal(history.baseFeePerGas.length, history.gasUsedRatio.length + 1);
const poor = new Wallet('0x' + '77'.repeat(32), provider);
const broke = await poor.sendTransaction({ to: friend, value: 1n }).then(() => assert.fail('taken'), (error) => error);
assert(isError(broke, 'INSUFFICIENT_FUNDS'), broke.message);

// What was told meanwhile, in order and without a gap.
const deadline = Date.now() + 20_000;
while (!events.includes(delegated.hash) || heads.at(-1) < delegated.blockNumber) {
  assert(Date.now() < deadline, `${heads.length} blocks and ${events.length} events were told`);
  await new Promise((done) => setTimeout(done, 50));
}
heads.slice(1).forEach((head, index) => assert.equal(head, heads[index] + 1));
console.log(`ethers: ${heads.length} blocks and ${events.length} events over the WebSocket`);
process.exit(0);
