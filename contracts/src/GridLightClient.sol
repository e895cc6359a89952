// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {GridHeader, Header} from "./GridHeader.sol";

/// A validator: the address of its secp256k1 key and its voting power.
struct Validator {
    address account;
    uint64 power;
}

/// What a light client trusts: a header, and the hash of the set that decides the next one.
struct Trusted {
    uint64 chainId;
    uint64 height;
    bytes32 blockHash;
    uint64 timeMs;
    bytes32 validatorsHash;
}

/// A header with what shows that it is final.
struct LightUpdate {
    /// The header's RLP.
    bytes header;
    /// Round in which the block was decided.
    uint32 round;
    /// Precommits `r ‖ s ‖ v`, 65 bytes each, by increasing signer address.
    bytes signatures;
    /// Who decided the block: the set that hashes to the header's `validatorsHash`.
    Validator[] validators;
    /// Who decides the next block, if that is another set; else empty.
    Validator[] next;
}

/// Follows a Grid chain from one trusted header, by the rules of docs/protocol.md, "Light client of a Grid chain": the
/// same ones as grid-core's `TrustedState::follow`. One storage word holds all that is trusted.
///
/// Times of the chain are in milliseconds, the clock is the block's time.
contract GridLightClient {
    /// A header was verified and is trusted now.
    event Advanced(uint64 indexed height, bytes32 blockHash, bytes32 indexRoot, bytes32 stateRoot);
    /// The chain contradicted itself: this client takes nothing more.
    event Frozen(uint64 indexed height, bytes32 first, bytes32 second);

    error NotTrusted();
    error IsFrozen();
    error Expired();
    error FromTheFuture();
    error NotAbove();
    error WrongParent();
    error WrongSet();
    error BadSet();
    error BadSignature(uint256 index);
    error NotAValidator(uint256 index);
    error WrongOrder(uint256 index);
    error NoQuorum(uint256 signed, uint256 total);
    error TooLittleOverlap(uint256 signed, uint256 total);
    error NextSetMissing();
    error NoConflict();

    uint256 private constant MAX_VALIDATORS = 256;
    /// Half of the order of secp256k1: a greater `s` is another form of the same signature.
    uint256 private constant HALF_ORDER = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0;

    /// How long a header is trusted after its time; shorter than the chain's unbonding period.
    uint64 public immutable trustingPeriodMs;
    /// How far a header may be ahead of the clock.
    uint64 public immutable clockDriftMs;
    /// `keccak256(abi.encode(Trusted))` of the newest verified header; zero once the chain contradicted itself.
    bytes32 public commitment;
    /// The index root of each verified header, by block hash: what proofs about other chains lead to.
    mapping(bytes32 blockHash => bytes32 indexRoot) public indexRoot;

    constructor(Trusted memory start, uint64 trustingPeriodMs_, uint64 clockDriftMs_) {
        commitment = keccak256(abi.encode(start));
        trustingPeriodMs = trustingPeriodMs_;
        clockDriftMs = clockDriftMs_;
    }

    /// Goes on to a later header. `set` is the trusted set; it may be empty where the header names that set again, or is
    /// the next one.
    function advance(Trusted calldata trusted, Validator[] calldata set, LightUpdate calldata update)
        external
        returns (Trusted memory newest)
    {
        _checkTrusted(trusted);
        Header memory header = verify(trusted, set, update);
        bytes32 next = header.extension.nextValidatorsHash;
        if (update.next.length == 0 && next != header.extension.validatorsHash) revert NextSetMissing();
        newest = Trusted(trusted.chainId, header.number, header.hash, header.extension.timeMs, next);
        commitment = keccak256(abi.encode(newest));
        indexRoot[header.hash] = header.extension.indexRoot;
        emit Advanced(header.number, header.hash, header.extension.indexRoot, header.stateRoot);
    }

    /// Stops the client: two certified blocks of one height both follow from what is trusted.
    function freeze(
        Trusted calldata trusted,
        Validator[] calldata set,
        LightUpdate calldata one,
        LightUpdate calldata other
    ) external {
        _checkTrusted(trusted);
        Header memory first = verify(trusted, set, one);
        Header memory second = verify(trusted, set, other);
        if (first.number != second.number || first.hash == second.hash) revert NoConflict();
        commitment = 0;
        emit Frozen(first.number, first.hash, second.hash);
    }

    /// Checks a later header against a trusted one and the clock. Whether the latter is this client's is not asked.
    function verify(Trusted calldata trusted, Validator[] calldata set, LightUpdate calldata update)
        public
        view
        returns (Header memory header)
    {
        uint256 nowMs = block.timestamp * 1000;
        if (uint256(trusted.timeMs) + trustingPeriodMs <= nowMs) revert Expired();
        header = GridHeader.decode(update.header);
        uint64 timeMs = header.extension.timeMs;
        if (header.number <= trusted.height || timeMs <= trusted.timeMs) revert NotAbove();
        if (timeMs > nowMs + clockDriftMs) revert FromTheFuture();

        bytes32 named = header.extension.validatorsHash;
        bool next = header.number == uint256(trusted.height) + 1;
        if (next && header.parentHash != trusted.blockHash) revert WrongParent();
        if (next && named != trusted.validatorsHash) revert WrongSet();
        if (hashOf(update.validators) != named) revert WrongSet();
        if (update.next.length != 0) {
            _checkSet(update.next);
            if (hashOf(update.next) != header.extension.nextValidatorsHash) revert WrongSet();
        }
        address[] memory signers = _checkCertificate(trusted.chainId, header, update);
        // The trusted set itself: more than two thirds of it were just counted.
        if (named != trusted.validatorsHash) _checkOverlap(trusted, set, signers);
    }

    /// What headers call a set.
    function hashOf(Validator[] calldata set) public pure returns (bytes32) {
        return keccak256(abi.encode(set));
    }

    /// The digest that every signer of a block signed: a precommit.
    function digestOf(uint64 chainId, uint64 height, uint32 round, bytes32 blockHash) public pure returns (bytes32) {
        return keccak256(abi.encodePacked("GRID/vote/1", uint8(3), chainId, height, round, blockHash));
    }

    function _checkTrusted(Trusted calldata trusted) private view {
        if (commitment == 0) revert IsFrozen();
        if (keccak256(abi.encode(trusted)) != commitment) revert NotTrusted();
    }

    /// A set is not empty, in strictly increasing order of addresses, and every power is positive.
    function _checkSet(Validator[] calldata set) private pure returns (uint256 total) {
        uint256 count = set.length;
        if (count == 0 || count > MAX_VALIDATORS) revert BadSet();
        address before;
        for (uint256 i = 0; i < count; ++i) {
            Validator calldata one = set[i];
            if ((i > 0 && one.account <= before) || one.power == 0) revert BadSet();
            before = one.account;
            total += one.power;
        }
        if (total >= type(uint64).max / 3) revert BadSet();
    }

    /// More than two thirds of the set signed, every signature is good, and every signer a validator.
    function _checkCertificate(uint64 chainId, Header memory header, LightUpdate calldata update)
        private
        pure
        returns (address[] memory signers)
    {
        Validator[] calldata set = update.validators;
        uint256 total = _checkSet(set);
        bytes calldata signatures = update.signatures;
        uint256 count = signatures.length / 65;
        if (count * 65 != signatures.length || count > MAX_VALIDATORS) revert BadSignature(count);
        bytes32 digest = digestOf(chainId, header.number, update.round, header.hash);
        signers = new address[](count);
        uint256 signed;
        uint256 place; // in the set: both lists ascend, so that it is walked once
        address before;
        for (uint256 i = 0; i < count; ++i) {
            address signer = _recover(digest, signatures[i * 65:i * 65 + 65], i);
            if (i > 0 && signer <= before) revert WrongOrder(i);
            while (place < set.length && set[place].account < signer) ++place;
            if (place == set.length || set[place].account != signer) revert NotAValidator(i);
            signed += set[place].power;
            signers[i] = before = signer;
        }
        if (signed * 3 <= total * 2) revert NoQuorum(signed, total);
    }

    function _recover(bytes32 digest, bytes calldata signature, uint256 index) private pure returns (address signer) {
        bytes32 s = bytes32(signature[32:64]);
        uint8 v = uint8(signature[64]);
        if (uint256(s) > HALF_ORDER || (v != 27 && v != 28)) revert BadSignature(index);
        signer = ecrecover(digest, v, bytes32(signature[0:32]), s);
        if (signer == address(0)) revert BadSignature(index);
    }

    /// More than a third of the trusted power is among the signers.
    function _checkOverlap(Trusted calldata trusted, Validator[] calldata set, address[] memory signers) private pure {
        if (hashOf(set) != trusted.validatorsHash) revert WrongSet();
        uint256 total = _checkSet(set);
        uint256 signed;
        uint256 place;
        for (uint256 i = 0; i < signers.length; ++i) {
            while (place < set.length && set[place].account < signers[i]) ++place;
            if (place == set.length) break;
            if (set[place].account == signers[i]) signed += set[place].power;
        }
        if (signed * 3 <= total) revert TooLittleOverlap(signed, total);
    }
}
