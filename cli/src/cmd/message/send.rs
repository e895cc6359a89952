//! `grid message send`.

use alloy_primitives::{U256, hex};
use alloy_sol_types::SolCall as _;
use eyre::{OptionExt as _, Result, ensure};
use grid_core::{
    ChainId,
    message::{BitcoinNote, HEADER_BYTES},
    modules::abi::{MAILBOX, Mailbox},
};
use serde::Serialize;

use crate::{
    args::MessageSendArgs,
    cmd::send::{self, Call},
    home::Home,
    main_chain::GridRpc,
    output::Output,
};

/// What every node relays of an `OP_RETURN` output.
const RELAYED: usize = 80;

/// The data of an `OP_RETURN` output.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Note {
    destination: ChainId,
    data: String,
    bytes: usize,
}

pub(super) async fn run(
    home: &Home,
    (rpc, own): (&GridRpc, &ChainId),
    args: &MessageSendArgs,
    out: Output,
) -> Result<()> {
    ensure!(!args.ordered || args.deadline != 0, "an ordered message needs a --deadline");
    if args.bitcoin {
        return out.show(&note(own, args)?, Note::people);
    }
    let to = args.to.as_ref().ok_or_eyre("name the destination with --to")?;
    let signer = send::signer(home, &args.key)?;
    let call = Mailbox::sendCall {
        destination: to.key().0,
        recipient: args.recipient.into_word(),
        deadline: args.deadline.into(),
        ordered: args.ordered,
        payload: args.payload.clone(),
    };
    let call = Call { to: MAILBOX, value: U256::ZERO, input: call.abi_encode().into() };
    let message = format!("sent to {} on {to}", args.recipient);
    send::perform(rpc, &signer, call, message, (args.sending.dry_run, out)).await
}

fn note(own: &ChainId, args: &MessageSendArgs) -> Result<Note> {
    let nonce = args.nonce.ok_or_eyre("give the message a number with --nonce")?;
    let key = own.key().0;
    let destination = *key.first_chunk::<8>().ok_or_eyre("a chain key has 32 bytes")?;
    let note = BitcoinNote {
        ordered: args.ordered,
        destination,
        nonce,
        deadline: args.deadline,
        recipient: args.recipient,
        payload: args.payload.clone(),
    };
    let data = note.encode();
    Ok(Note { destination: own.clone(), bytes: data.len(), data: hex::encode(data) })
}

impl Note {
    fn people(&self) -> String {
        let mut text = format!(
            "data of an OP_RETURN output, a message to {} in {} bytes:\n  {}\nThe sender is the script that the transaction's first \
             input spends; sign it with SIGHASH_ALL.\n",
            self.destination, self.bytes, self.data
        );
        if self.bytes > RELAYED {
            text.push_str(&format!(
                "Not every node relays more than {RELAYED} bytes: the payload has {}, {} are safe.\n",
                self.bytes.saturating_sub(HEADER_BYTES),
                RELAYED - HEADER_BYTES
            ));
        }
        text
    }
}
