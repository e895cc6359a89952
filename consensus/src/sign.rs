//! Signing and verifying.

use alloy_primitives::{B256, keccak256};
use arc_malachitebft_core_types::{SignedMessage, ValidatorProof, VoteExtensionScope};
use arc_malachitebft_signing::{Error, Signer, VerificationResult, Verifier};
use async_trait::async_trait;
use grid_core::grid::{RecoverableSignature, VoteKind};
use k256::ecdsa::SigningKey;

use crate::{
    context::{Address, Grid, Part, Proposal, Scheme, Signature, Vote},
    guard::{Guard, Signed},
};

/// This validator's key on one chain.
#[derive(Clone)]
pub(crate) struct Keyring {
    chain_id: u64,
    key: SigningKey,
    address: Address,
    guard: Guard,
}

impl Keyring {
    pub(crate) fn new(chain_id: u64, key: SigningKey, guard: Guard) -> Self {
        let address = Address(alloy_primitives::Address::from_private_key(&key));
        Self { chain_id, key, address, guard }
    }

    /// Why this key refused to sign.
    pub(crate) fn refusal(&self) -> Option<&str> {
        self.guard.refusal()
    }

    pub(crate) const fn address(&self) -> Address {
        self.address
    }

    /// `r ‖ s ‖ 27 or 28` with low `s`; deterministic (RFC 6979), so the same vote always has the same
    /// bytes.
    pub(crate) fn sign(&self, digest: B256) -> Result<Signature, Error> {
        let (signature, recovery) =
            self.key.sign_prehash_recoverable(digest.as_slice()).map_err(|_| Error::new())?;
        let mut bytes = [0; 65];
        bytes[..64].copy_from_slice(&signature.to_bytes());
        bytes[64] = 27 + u8::from(recovery.is_y_odd());
        Ok(Signature(RecoverableSignature::from_bytes(bytes)))
    }

    /// Fills in a part's signature.
    pub(crate) fn sign_part(&self, mut part: Part) -> Result<Part, Error> {
        part.signature = self.sign(part.digest(self.chain_id))?;
        Ok(part)
    }
}

#[async_trait]
impl Signer<Grid> for Keyring {
    async fn sign_vote(&self, vote: Vote) -> Result<SignedMessage<Grid, Vote>, Error> {
        let digest = vote.digest(self.chain_id).ok_or_else(Error::new)?;
        let round = vote.round.as_u32().ok_or_else(Error::new)?;
        let (kind, hash) = vote.content();
        self.guard.allow(Signed { height: vote.height.0, round, kind, hash }).await?;
        let signature = self.sign(digest)?;
        Ok(SignedMessage::new(vote, signature))
    }

    async fn sign_proposal(
        &self,
        proposal: Proposal,
    ) -> Result<SignedMessage<Grid, Proposal>, Error> {
        let digest = proposal.digest(self.chain_id).ok_or_else(Error::new)?;
        let round = proposal.round.as_u32().ok_or_else(Error::new)?;
        let (height, kind, hash) = (proposal.height.0, VoteKind::Proposal, proposal.content());
        self.guard.allow(Signed { height, round, kind, hash }).await?;
        let signature = self.sign(digest)?;
        Ok(SignedMessage::new(proposal, signature))
    }

    // Extensions are disabled at every height.
    async fn sign_vote_extension(
        &self,
        _scope: VoteExtensionScope<Grid>,
        _extension: (),
    ) -> Result<SignedMessage<Grid, ()>, Error> {
        Err(Error::new())
    }

    async fn sign_validator_proof(
        &self,
        public_key: Vec<u8>,
        peer_id: Vec<u8>,
    ) -> Result<ValidatorProof<Grid>, Error> {
        let preimage = ValidatorProof::<Grid>::signing_bytes(&public_key, &peer_id);
        let signature = self.sign(keccak256(preimage))?;
        Ok(ValidatorProof::new(public_key, peer_id, signature))
    }
}

/// Checks what others signed on one chain: the signature must recover to the expected address.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recovery {
    chain_id: u64,
}

impl Recovery {
    pub(crate) const fn new(chain_id: u64) -> Self {
        Self { chain_id }
    }

    /// Who sent a part.
    pub(crate) fn sender(&self, part: &Part) -> Option<alloy_primitives::Address> {
        part.signature.0.recover(&part.digest(self.chain_id))
    }
}

/// Whether `signature` over `digest` is by `signer`.
fn check(digest: Option<B256>, signature: &Signature, signer: &Address) -> VerificationResult {
    let recovered = digest.and_then(|digest| signature.0.recover(&digest));
    VerificationResult::from_bool(recovered == Some(signer.0))
}

#[async_trait]
impl Verifier<Grid> for Recovery {
    async fn verify_signed_vote(
        &self,
        vote: &Vote,
        signature: &Signature,
        public_key: &Address,
    ) -> Result<VerificationResult, Error> {
        Ok(check(vote.digest(self.chain_id), signature, public_key))
    }

    async fn verify_signed_proposal(
        &self,
        proposal: &Proposal,
        signature: &Signature,
        public_key: &Address,
    ) -> Result<VerificationResult, Error> {
        Ok(check(proposal.digest(self.chain_id), signature, public_key))
    }

    async fn verify_signed_vote_extension(
        &self,
        _scope: &VoteExtensionScope<Grid>,
        _extension: &(),
        _signature: &Signature,
        _public_key: &Address,
    ) -> Result<VerificationResult, Error> {
        Ok(VerificationResult::Invalid)
    }

    async fn verify_validator_proof(
        &self,
        proof: &ValidatorProof<Grid>,
    ) -> Result<VerificationResult, Error> {
        use arc_malachitebft_core_types::SigningScheme as _;
        let Ok(address) = Scheme::decode_public_key(&proof.public_key) else {
            return Ok(VerificationResult::Invalid);
        };
        Ok(check(Some(keccak256(proof.preimage())), &proof.signature, &address))
    }
}
