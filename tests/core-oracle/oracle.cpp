// Bitcoin Core's own header rules behind standard input and output.
//
// Stock bitcoind can only be asked about its five networks, where every retarget costs real work. This program
// links Bitcoin Core's libraries as they are and takes the consensus parameters from its input, so that the
// same code judges headers of networks with tiny difficulty and short periods.
//
// Every request is a frame and gets one frame as its answer: a 32-bit length, then that many bytes. Numbers
// are little endian, hashes in internal byte order, headers the 80 bytes of the wire.
//
//   request  'N' genesis header, powLimit[32], i64 timespan, i64 spacing, i32 heights of BIP34, BIP66, BIP65,
//                three bools: minimum difficulty allowed, no retargeting, BIP94
//                    forgets everything and starts a network at its genesis
//   request  'H' i64 clock in seconds, headers
//                    submits the headers in one call of ProcessNewBlockHeaders
//   answer   best header's hash[32], its chain work[32], i32 its height, u32 number of headers stored, and
//            the reject reason as text; no text where everything was accepted
//
// The program ends with its input; a malformed request is a message on standard error and status 1.

#include <arith_uint256.h>
#include <chain.h>
#include <compat/endian.h>
#include <consensus/validation.h>
#include <kernel/chainparams.h>
#include <kernel/chainstatemanager_opts.h>
#include <kernel/notifications_interface.h>
#include <logging.h>
#include <node/blockstorage.h>
#include <primitives/block.h>
#include <streams.h>
#include <sync.h>
#include <util/fs.h>
#include <util/signalinterrupt.h>
#include <util/time.h>
#include <util/translation.h>
#include <validation.h>

#include <cstdint>
#include <cstdio>
#include <exception>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include <stdlib.h>

const TranslateFn G_TRANSLATION_FUN{nullptr};

namespace {

/** A network that differs from regtest in its header rules. */
class NetworkParams final : public CChainParams
{
public:
    explicit NetworkParams(SpanReader& in) : CChainParams{*CChainParams::RegTest()}
    {
        CBlockHeader header;
        in >> header;
        genesis = CBlock{header};
        consensus.hashGenesisBlock = header.GetHash();
        in >> consensus.powLimit >> consensus.nPowTargetTimespan >> consensus.nPowTargetSpacing;
        in >> consensus.BIP34Height >> consensus.BIP66Height >> consensus.BIP65Height;
        in >> consensus.fPowAllowMinDifficultyBlocks >> consensus.fPowNoRetargeting >> consensus.enforce_BIP94;
        // Core divides by both of these.
        if (consensus.nPowTargetSpacing <= 0 || consensus.nPowTargetTimespan < consensus.nPowTargetSpacing) {
            throw std::invalid_argument("timespan or spacing out of range");
        }
    }
};

/** A folder for the one file that Core's block storage insists on, removed at the end. */
class TemporaryFolder
{
public:
    TemporaryFolder()
    {
        std::string name{fs::PathToString(fs::temp_directory_path() / "core-oracle-XXXXXX")};
        if (!mkdtemp(name.data())) throw std::runtime_error("no temporary folder: " + name);
        m_path = fs::PathFromString(name);
    }
    ~TemporaryFolder()
    {
        std::error_code ignored;
        fs::remove_all(m_path, ignored);
    }
    const fs::path& Path() const { return m_path; }

private:
    fs::path m_path;
};

/** One network with its headers: Core's own ChainstateManager, whose database stays in memory. */
class Network
{
public:
    Network(SpanReader& in, const fs::path& folder)
        : m_params{in},
          m_chainman{m_interrupt,
                     {
                         .chainparams = m_params,
                         .datadir = folder,
                         // Core's self-check walks over all headers after each one.
                         .check_block_index = 0,
                         .notifications = m_notifications,
                         .script_execution_cache_bytes = 0,
                         .signature_cache_bytes = 0,
                     },
                     {
                         .chainparams = m_params,
                         .blocks_dir = folder,
                         .notifications = m_notifications,
                         .block_tree_db_params = {.path = folder / "index", .cache_bytes = 0, .memory_only = true},
                     }}
    {
    }

    /** Submits headers and describes the outcome. */
    DataStream Submit(std::span<const CBlockHeader> headers)
    {
        BlockValidationState state;
        const bool accepted{m_chainman.ProcessNewBlockHeaders(headers, /*min_pow_checked=*/true, state)};
        if (accepted != state.IsValid()) throw std::runtime_error("contradiction: " + state.ToString());
        LOCK(cs_main);
        const CBlockIndex* best{m_chainman.m_best_header};
        if (!best) throw std::runtime_error("genesis refused: " + state.ToString());
        DataStream answer;
        answer << best->GetBlockHash() << ArithToUint256(best->nChainWork) << best->nHeight;
        answer << uint32_t(m_chainman.BlockIndex().size());
        const std::string reason{state.GetRejectReason()};
        answer.write(std::as_bytes(std::span{reason}));
        return answer;
    }

    const CBlockHeader& Genesis() const { return m_params.GenesisBlock(); }

private:
    const NetworkParams m_params;
    util::SignalInterrupt m_interrupt;
    kernel::Notifications m_notifications;
    ChainstateManager m_chainman;
};

/** Reads a frame; false at the end of the input. */
bool ReadFrame(std::vector<unsigned char>& frame)
{
    uint32_t length;
    if (std::fread(&length, sizeof(length), 1, stdin) != 1) return false;
    frame.resize(le32toh_internal(length));
    return std::fread(frame.data(), 1, frame.size(), stdin) == frame.size();
}

void WriteFrame(const DataStream& frame)
{
    const uint32_t length{htole32_internal(uint32_t(frame.size()))};
    std::fwrite(&length, sizeof(length), 1, stdout);
    std::fwrite(frame.data(), 1, frame.size(), stdout);
    std::fflush(stdout);
}

DataStream Answer(SpanReader in, std::unique_ptr<Network>& network, const fs::path& folder)
{
    uint8_t request;
    in >> request;
    if (request == 'N') {
        network = std::make_unique<Network>(in, folder);
        return network->Submit({&network->Genesis(), 1});
    }
    if (request != 'H' || !network) throw std::invalid_argument("neither 'N', nor 'H' after an 'N'");
    int64_t clock;
    in >> clock;
    SetMockTime(clock);
    std::vector<CBlockHeader> headers;
    while (!in.empty()) in >> headers.emplace_back();
    return network->Submit(headers);
}

} // namespace

int main()
{
    LogInstance().DisableLogging();
    try {
        const TemporaryFolder folder;
        std::unique_ptr<Network> network;
        std::vector<unsigned char> frame;
        while (ReadFrame(frame)) WriteFrame(Answer(SpanReader{frame}, network, folder.Path()));
    } catch (const std::exception& error) {
        std::fprintf(stderr, "core-oracle: %s\n", error.what());
        return 1;
    }
    return 0;
}
