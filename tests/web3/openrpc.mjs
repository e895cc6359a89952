// The OpenRPC document by its own schema, and a node's answers by the document.
import assert from 'node:assert/strict';
import jsonSchema from '@json-schema-tools/meta-schema';
import openRpcSchema from '@open-rpc/meta-schema';
import Ajv from 'ajv';

const url = process.env.GRID_RPC;

async function call(method, params = []) {
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
  const answer = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  return answer.json();
}

const document = (await call('rpc.discover')).result;
const ajv = new Ajv({ strict: false, validateFormats: false });
const plain = (module) => {
  const { $schema, ...schema } = module.default ?? module;
  return schema;
};
// OpenRPC refers to it with and without the slash.
ajv.addSchema(plain(jsonSchema), 'https://meta.json-schema.tools');
const valid = ajv.compile(plain(openRpcSchema));
assert(valid(document), JSON.stringify(valid.errors, null, 2));

// One schema that holds the shared ones, so that references resolve.
const schema = (inner) => ajv.compile({ ...inner, components: document.components });
const zero = '0x' + '00'.repeat(32);
const nobody = '0x' + '77'.repeat(20);
const samples = {
  eth_blockNumber: [],
  eth_chainId: [],
  eth_syncing: [],
  eth_accounts: [],
  eth_gasPrice: [],
  eth_maxPriorityFeePerGas: [],
  eth_feeHistory: ['0x4', 'latest', [25, 75]],
  eth_getBalance: [nobody, 'latest'],
  eth_getCode: ['0x0000000000000000000000000000000000001001', 'latest'],
  eth_getStorageAt: [nobody, '0x0', 'latest'],
  eth_getTransactionCount: [nobody, 'pending'],
  eth_getBlockByNumber: ['latest', true],
  eth_getBlockByHash: [zero, false],
  eth_getTransactionByHash: [zero],
  eth_getTransactionReceipt: [zero],
  eth_getBlockReceipts: ['latest'],
  eth_getLogs: [{ fromBlock: '0x0', toBlock: 'latest' }],
  eth_newBlockFilter: [],
  eth_createAccessList: [{ to: nobody }],
  txpool_status: [],
  txpool_content: [],
  net_version: [],
  web3_sha3: ['0x00'],
  grid_tip: [],
  grid_chains: [],
  grid_entries: [],
  grid_validators: [],
  grid_certificate: [1],
  grid_account: [nobody],
  grid_proveState: ['0x00'],
  grid_lightBlock: [1],
  grid_rawBlocks: [1, 2],
  grid_status: [],
  grid_peers: [],
};
let checked = 0;
for (const method of document.methods) {
  const params = samples[method.name];
  if (params === undefined) continue;
  params.forEach((value, index) => {
    const good = schema(method.params[index].schema);
    assert(good(value), `${method.name}, parameter ${index}: ${JSON.stringify(good.errors)}`);
  });
  const answer = await call(method.name, params);
  assert(answer.error === undefined, `${method.name}: ${JSON.stringify(answer.error)}`);
  const good = schema(method.result.schema);
  assert(good(answer.result), `${method.name}: ${JSON.stringify(answer.result)} ${JSON.stringify(good.errors)}`);
  checked += 1;
}
assert.equal(checked, Object.keys(samples).length);
console.log(`openrpc: ${document.methods.length} methods described, answers of ${checked} checked`);
