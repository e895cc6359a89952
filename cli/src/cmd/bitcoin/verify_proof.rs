//! `grid bitcoin verify-proof`: what a proof about one Bitcoin block shows, and what it does not.

use std::{fs, process::ExitCode};

use eyre::{Result, WrapErr as _, bail};
use grid_core::{
    ChainId,
    bitcoin::{
        Header, NetworkParams,
        pow::ProofOfWork,
        spv::{MAX_MERKLE_BLOCK, MerkleBlock, SpvError},
        tx::{MAX_FULL, Tx},
    },
    proof::{
        BlockProof, BlockProofError, MAX_JSON_BYTES,
        facts::{self, BitcoinFact, FactError},
    },
};

use super::{
    file,
    report::{Refusal, Report},
};
use crate::{args::VerifyProofArgs, output::Output};

pub(super) fn run(args: &VerifyProofArgs, out: Output) -> Result<ExitCode> {
    let file = args.file.display();
    let most = u64::try_from(MAX_JSON_BYTES)?;
    let size = fs::metadata(&args.file).wrap_err_with(|| format!("cannot read {file}"))?.len();
    if size > most {
        bail!("{file} has {size} bytes; a proof has at most {most}");
    }
    let bytes = fs::read(&args.file).wrap_err_with(|| format!("cannot read {file}"))?;
    let raw = args.raw.iter().map(|path| file::read(path, MAX_FULL)).collect::<Result<Vec<_>>>()?;
    let network = args.network.as_deref().map(NetworkParams::by_name).transpose()?;
    match examine(&bytes, network, &raw, args.ids_only)? {
        Ok(report) => {
            out.show(&report, Report::people)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(refusal) => {
            out.show(&refusal, |refusal| refusal.people(&file.to_string()))?;
            Ok(ExitCode::FAILURE)
        }
    }
}

/// What a file shows. An error is for files that are no such proof; a refusal for proofs that do not hold.
fn examine(
    bytes: &[u8],
    network: Option<NetworkParams>,
    raw: &[Vec<u8>],
    ids_only: bool,
) -> Result<Result<Report, Refusal>> {
    if bytes.first() == Some(&b'{') {
        return block_proof(bytes, network.as_ref());
    }
    let binary = file::from_text(bytes).unwrap_or_else(|| bytes.to_vec());
    // The binary form of a cross-chain proof begins with an ABI offset, 32.
    if binary.strip_prefix(&[0; 31]).is_some_and(|rest| rest.first() == Some(&32)) {
        bail!("{CROSS_CHAIN}");
    }
    if binary.len() > MAX_MERKLE_BLOCK {
        bail!("this is neither a proof by grid bitcoin prove nor an answer of gettxoutproof");
    }
    let params = network.unwrap_or_else(NetworkParams::mainnet);
    let merkle_block = match MerkleBlock::parse(&binary) {
        Ok(block) => block,
        Err(error) => return Ok(Err(Refusal::new(error.rule(), &error))),
    };
    if ids_only {
        let header = Header::parse(merkle_block.header());
        let hash = header.hash();
        let work = match ProofOfWork::new(params.pow_limit).check(&header, &hash) {
            Ok(work) => work,
            Err(error) => return Ok(Err(Refusal::new("high-hash", &error))),
        };
        return Ok(Ok(Report::of_ids(params.name, &header, work, &merkle_block)));
    }
    Ok(complete(&params.chain_id(), &merkle_block, raw)
        .and_then(|proof| report(&proof))
        .map_err(|error| Refusal::new(error.rule(), &error)))
}

const CROSS_CHAIN: &str =
    "this is a cross-chain proof, with Grid's path to its header: check it with grid verify";

fn block_proof(bytes: &[u8], network: Option<&NetworkParams>) -> Result<Result<Report, Refusal>> {
    let proof = match BlockProof::from_json(bytes) {
        Ok(proof) => proof,
        Err(error) => {
            let json: Option<serde_json::Value> = serde_json::from_slice(bytes).ok();
            if json.is_some_and(|json| json.get("segments").is_some()) {
                bail!("{CROSS_CHAIN}");
            }
            return Ok(Err(Refusal::new("bad-proof-encoding", &error)));
        }
    };
    if let Some(params) = network.filter(|params| params.chain_id() != proof.source) {
        let reason = format!("the proof is for {}, not for {}", proof.source, params.name);
        return Ok(Err(Refusal::new("wrong-network", &reason)));
    }
    Ok(report(&proof).map_err(|error| Refusal::new(error.rule(), &error)))
}

fn report(proof: &BlockProof) -> Result<Report, BlockProofError> {
    Ok(Report::of_proof(proof, proof.verify()?))
}

/// A merkle block and the transactions that it proves the ids of, among them the coinbase, are a whole proof.
fn complete(
    source: &ChainId,
    block: &MerkleBlock,
    raw: &[Vec<u8>],
) -> Result<BlockProof, BlockProofError> {
    let spv = |error: SpvError| BlockProofError::from(FactError::from(error));
    let parse = |raw: &Vec<u8>| Tx::with_witness(raw).map_err(SpvError::Transaction);
    let txs = raw.iter().map(parse).collect::<Result<Vec<_>, _>>().map_err(spv)?;
    let coinbase = txs.iter().zip(raw).find(|(tx, _)| tx.is_coinbase());
    let (_, coinbase) = coinbase.ok_or_else(|| spv(SpvError::NoCoinbase))?;
    let proofs = raw.iter().map(|raw| block.prove(raw, coinbase)).collect::<Result<Vec<_>, _>>();
    // The coinbase is proven for itself where nothing else is.
    let wanted = txs.iter().filter(|tx| !tx.is_coinbase() || txs.len() == 1);
    let facts: Vec<BitcoinFact> = wanted.map(|tx| BitcoinFact::Tx { txid: tx.id() }).collect();
    let inclusion = facts::from_proofs(proofs.map_err(spv)?, &facts)?;
    BlockProof::assemble(source.clone(), *block.header(), inclusion)
}

#[cfg(test)]
mod tests {
    use alloy_primitives::hex;
    use grid_core::{bitcoin::spv::BlockTxs, proof::facts::from_block};

    use super::*;

    const HEADER: [u8; 80] = hex!(
        "0100000055bd840a78798ad0da853f68974f3d183e2bd1db6a842c1feecf222a00000000ff104ccb05421ab93e63f8c3ce5c2c2e9dbb37de2764b3a3175c8166562cac7d51b96a49ffff001d283e9e70"
    );
    /// Mainnet's block 170: coinbase and the first payment.
    const TXS: [&str; 2] = [
        "01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff0704ffff001d0102ffffffff0100f2052a01000000434104d46c4968bde02899d2aa0963367c7a6ce34eec332b32e42e5f3407e052d64ac625da6f0718e7b302140434bd725706957c092db53805b821a85b23a7ac61725bac00000000",
        "0100000001c997a5e56e104102fa209c6a852dd90660a20b2d9c352423edce25857fcd3704000000004847304402204e45e16932b8af514961a1d3a1a25fdf3f4f7732e9d624c6c61548ab5fb8cd410220181522ec8eca07de4860a4acdd12909d831cc56cbbac4622082221a8768d1d0901ffffffff0200ca9a3b00000000434104ae1a62fe09c5f51b13905f07f06b99a2f7159b2225f374cd378d71302fa28414e7aab37397f554a7df5f142c21c1b7303b8a0626f1baded5c72a704f7e6cd84cac00286bee0000000043410411db93e1dcdb8a016b49840f8c53bc1eb68a382e97b1482ecad7b148a6909a5cb2e0eaddfb84ccf9744464f82e160bfa9b8b64f9d4c03f999b8643f656b412a3ac00000000",
    ];

    const PAYMENT: &str = "\
VERIFIED
  network       mainnet
  block         00000000d1145790a8694403d4063f323d499e655c83426834d4ce2f8dd4a2ee
  height        not stated
  block time    1231731025
  work          4295032833 hashes (bits 1d00ffff)
  transaction   f4184fc596403b9d638783cf57adfe4c75c605f6356fbc91338530e9831e9e16 at 1
                output 0: 1000000000 satoshis to script 0x4104ae1a62fe09c5f51b13905f07f06b99a2f7159b2225f374cd378d71302fa28414e7aab37397f554a7df5f142c21c1b7303b8a0626f1baded5c72a704f7e6cd84cac
                output 1: 4000000000 satoshis to script 0x410411db93e1dcdb8a016b49840f8c53bc1eb68a382e97b1482ecad7b148a6909a5cb2e0eaddfb84ccf9744464f82e160bfa9b8b64f9d4c03f999b8643f656b412a3ac
  proven        this Bitcoin transaction is in the block and has this output
  txid          f4184fc596403b9d638783cf57adfe4c75c605f6356fbc91338530e9831e9e16
  position      1
  output        0
  amount        1000000000 satoshis
  script        0x4104ae1a62fe09c5f51b13905f07f06b99a2f7159b2225f374cd378d71302fa28414e7aab37397f554a7df5f142c21c1b7303b8a0626f1baded5c72a704f7e6cd84cac
  not checked   that the block is in the chain with the most work: compare its hash with a chain of headers that you have checked
  not checked   that the header's target is the one its chain asks for
  not checked   that the block is valid: scripts, signatures, amounts
  not checked   the height: a coinbase from before BIP34 states none
";

    fn raw() -> Vec<Vec<u8>> {
        TXS.iter().map(|text| hex::decode(text).expect("hex")).collect()
    }

    /// What `gettxoutproof` prints for both transactions.
    fn merkle_block() -> Vec<u8> {
        let ids = BlockTxs::new(&raw()).expect("a block");
        let [coinbase, payment] = [0, 1].map(|at: usize| ids.tree().txids()[at].0);
        let bytes = [&HEADER[..], &[2, 0, 0, 0, 2], &coinbase, &payment, &[1, 0b111]].concat();
        format!("{}\n", hex::encode(bytes)).into_bytes()
    }

    fn refused(bytes: &[u8], raw: &[Vec<u8>]) -> &'static str {
        examine(bytes, None, raw, false).expect("a proof").expect_err("refused").rule
    }

    #[test]
    fn a_proof_from_a_block_is_reported() {
        let txs = BlockTxs::new(&raw()).expect("a block");
        let txid = txs.tree().txids()[1];
        let inclusion =
            from_block(&txs, &[BitcoinFact::Payment { txid, output: 0 }]).expect("a payment");
        let source = NetworkParams::mainnet().chain_id();
        let proof = BlockProof::assemble(source, HEADER, inclusion).expect("a proof");
        let json = proof.to_json().expect("JSON").into_bytes();
        let report = examine(&json, None, &[], false).expect("a proof").expect("it holds");
        assert_eq!(report.people(), PAYMENT);
        let json_report = serde_json::to_value(&report).expect("JSON");
        assert_eq!(json_report["verified"], true);
        assert_eq!(json_report["strength"], "transactions");
        assert_eq!(json_report["height"], serde_json::Value::Null);
        assert_eq!(json_report["claim"]["amount"], 1_000_000_000);
        let output = &json_report["transactions"][0]["outputs"][1];
        assert_eq!((&output["output"], &output["amount"]), (&1.into(), &4_000_000_000_u64.into()));
        let elsewhere = Some(NetworkParams::regtest());
        let refusal = examine(&json, elsewhere, &[], false).expect("a proof").expect_err("refused");
        assert_eq!(refusal.rule, "wrong-network");
        let mut bad = json;
        let at = bad.len() / 2;
        bad[at] ^= 1;
        let refusal = examine(&bad, None, &[], false).expect("a proof");
        assert!(refusal.is_err());
    }

    #[test]
    fn a_merkle_block_is_a_proof_only_with_its_transactions() {
        let block = merkle_block();
        assert_eq!(refused(&block, &[]), "incomplete-merkle-block");
        assert_eq!(refused(&block, &raw()[1..]), "incomplete-merkle-block");
        let report = examine(&block, None, &raw(), false).expect("a proof").expect("it holds");
        assert!(report.people().starts_with("VERIFIED\n"), "{}", report.people());
        let json = serde_json::to_value(&report).expect("JSON");
        assert_eq!(json["claim"]["kind"], "bitcoinTx");
        let ids = examine(&block, None, &[], true).expect("a proof").expect("it holds");
        assert!(ids.people().starts_with("IDS ONLY\n"), "{}", ids.people());
        let json = serde_json::to_value(&ids).expect("JSON");
        assert_eq!((&json["strength"], &json["claim"]), (&"ids".into(), &serde_json::Value::Null));
        assert!(json["notChecked"][0].as_str().is_some_and(|text| text.contains("CVE-2017-12842")));
        let mut bad = hex::decode(String::from_utf8(block).expect("text").trim()).expect("hex");
        bad[79] ^= 1;
        assert_eq!(refused(&bad, &raw()), "high-hash");
        bad[100] ^= 1;
        assert_eq!(refused(&bad, &raw()), "bad-txnmrklroot");
        bad.pop();
        assert_eq!(refused(&bad, &raw()), "bad-merkle-block");
    }

    #[test]
    fn cross_chain_proofs_have_their_own_command() {
        let mut binary = vec![0; 64];
        binary[31] = 32;
        for bytes in [binary.as_slice(), b"{\"segments\": []}"] {
            let error = examine(bytes, None, &[], false).expect_err("another command's");
            assert!(error.to_string().contains("grid verify"), "{error}");
        }
        assert_eq!(refused(b"{}", &[]), "bad-proof-encoding");
    }
}
