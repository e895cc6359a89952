"""Lets the official light client judge a run of the simulated beacon chain.

Usage: check-beacon-sim.py FOLDER, as written by `beacon-dump`. Exits non-zero if the spec disagrees
with what the run says about any step.
"""

import json
import sys
from importlib import import_module
from pathlib import Path

FORKS = ["altair", "bellatrix", "capella", "deneb", "electra", "fulu", "gloas"]
# Forks that change the form of light-client data; the spec upgrades a store at each.
FORMS = ["altair", "capella", "deneb", "electra", "gloas"]
# The newest spec of a form: only that one knows the versions of all forks that have it.
NEWEST = {"altair": "bellatrix", "electra": "fulu"}
SPECS = {name: import_module(f"eth_consensus_specs.{name}.minimal") for name in FORKS}


def configure(run):
    """Gives every fork's spec the network of the run."""
    settings = {"GENESIS_FORK_VERSION": run["genesisForkVersion"]}
    for fork in run["forks"]:
        settings[f"{fork['fork'].upper()}_FORK_VERSION"] = fork["version"]
        settings[f"{fork['fork'].upper()}_FORK_EPOCH"] = fork["epoch"]
    for spec in SPECS.values():
        known = {k: v for k, v in settings.items() if k in spec.config._fields}
        typed = {k: type(getattr(spec.config, k))(v) for k, v in known.items()}
        spec.config = spec.config._replace(**typed)


def form(version):
    """The fork whose form a fork's data has."""
    return {"bellatrix": "altair", "fulu": "electra"}.get(version, version)


def upgrade(store, known, wanted):
    """Brings a store from one form to a later one."""
    for name in FORMS[FORMS.index(known) + 1 : FORMS.index(wanted) + 1]:
        store = getattr(SPECS[name], f"upgrade_lc_store_to_{name}")(store)
    return store


def check(folder):
    run = json.loads((folder / "run.json").read_text())
    configure(run)
    now, genesis = run["now"], bytes.fromhex(run["genesisValidatorsRoot"][2:])
    store, known = None, None
    accepted, refused, wrong = 0, 0, []
    for step in run["steps"]:
        name, data = form(step["version"]), (folder / step["file"]).read_bytes()
        spec = SPECS[NEWEST.get(name, name)]
        what = f"{step['file']} ({step['version']}, fault {step['fault']})"
        if step["kind"] == "bootstrap":
            bootstrap = spec.LightClientBootstrap.decode_bytes(data)
            root = spec.Root(bytes.fromhex(step["finalized"][2:]))
            store, known = spec.initialize_light_client_store(root, bootstrap), name
            accepted += 1
            continue
        store = upgrade(store, known, name)
        known = name
        try:
            update = spec.LightClientUpdate.decode_bytes(data)
            if step["fault"] is None:
                assert update.encode_bytes() == data
            spec.process_light_client_update(
                store, update, spec.Slot(now), spec.Root(genesis)
            )
            ok = True
        except Exception as error:  # noqa: BLE001 - the spec refuses by assertions and by its types
            ok, reason = False, f"{type(error).__name__}: {error}"
        if ok != (step["fault"] is None):
            wrong.append(f"{what}: {'accepted' if ok else 'refused: ' + reason}")
        elif ok:
            accepted += 1
            final = "0x" + bytes(store.finalized_header.beacon.hash_tree_root()).hex()
            if step["finalized"] not in (None, final):
                wrong.append(f"{what}: finalized {final}, the run says {step['finalized']}")
        else:
            refused += 1
    print(f"the spec accepted {accepted} honest steps and refused {refused} faulty ones")
    for line in wrong:
        print(f"WRONG  {line}")
    return 1 if wrong or not accepted or not refused else 0


if __name__ == "__main__":
    sys.exit(check(Path(sys.argv[1])))
