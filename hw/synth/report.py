"""Synthesises the units of a configuration and writes the report; see run."""

import collections
import hashlib
import json
import pathlib
import re
import subprocess
import sys
import time

import netlist
from units import DEVICE, FROM_MEMORY, GROUP_OF, GROUPS, LIMIT_PERCENT, PERIOD_NS

ROOT = pathlib.Path(__file__).resolve().parents[2]
RTL = ROOT / "hw/rtl"
TOP = "fvlm_top"
READ = "read_slang --top {top} --empty-blackboxes"
MAP = "synth_xilinx -family xcup -top {top} -flatten -uram -noiopad -noclkbuf"
NO_SHIFT_REGISTERS = 'shreg_extract = "no"'  # Vivado's attribute; Yosys only has an option for a whole unit


def file_list(name):
    """Sources of a list as in hw/rtl/*.f; leaves are the device's cells."""
    for line in (RTL / name).read_text().splitlines():
        line = line.split("//")[0].strip()
        if line.startswith("-f "):
            yield from file_list(line[3:].strip())
        elif line.endswith(".sv"):
            yield RTL / line.replace("prim/model/", "prim/xilinx/")


class Flow:
    def __init__(self, config):
        package = RTL / "gen" / config / "fvlm_isa_pkg.sv"
        if not package.exists():
            sys.exit(f"hw/synth/run: no configuration {config} ({package.relative_to(ROOT)} is missing)")
        self.sources = [package, ROOT / "hw/lint/device_stub.sv", *file_list("flightvlm.f"), *file_list("structural.f")]
        for missing in [p for p in self.sources if not p.exists()]:
            print(f"warning: {missing.relative_to(ROOT)} is listed but does not exist", file=sys.stderr)
            self.sources.remove(missing)
        self.text = {p: p.read_text() for p in self.sources}
        self.out = ROOT / "target/synth" / config
        self.out.mkdir(parents=True, exist_ok=True)
        self.modules, self.header, self.home = {}, {}, {}
        for path, text in self.text.items():
            for name in re.findall(r"^package\s+(\w+)", text, re.M):
                self.home[name] = path
            for name, body in re.findall(r"^module\s+(\w+)(.*?)^\)?;", text, re.M | re.S):
                self.home[name] = path
                self.header[name] = body
                self.modules[name] = re.findall(r"(?<!local)\bparameter\s+(?:\w+\s+)*?(?:\[[^]]*\]\s*)?(\w+)\s*=", body)
        self.units = [u for u in GROUP_OF if u in self.modules]
        self.built = {}

    def hash(self, module):
        """Of all that a unit's netlist depends on: its sources down to inner units, of which only the ports count."""
        own = pathlib.Path(__file__).with_name("yosys").read_text()
        parts, files, todo = [own, READ, MAP], set(), [module]
        while todo:
            path = self.home[todo.pop()]
            if path in files:
                continue
            files.add(path)
            for name in sorted(set(re.findall(r"\w+", re.sub(r"//.*", "", self.text[path]))) & set(self.home)):
                if name in self.units and name != module:
                    parts.append(self.header[name])
                elif self.home[name] not in files:
                    todo.append(name)
        parts += [self.text[path] for path in sorted(files)]
        return hashlib.sha256("".join(parts).encode()).hexdigest()

    def key(self, module, parameters):
        return module + "".join(f"-{k}{v}" for k, v in sorted(parameters.items()) if k != "RomFile").replace('"', "")

    def netlist(self, module, parameters):
        name = self.key(module, parameters)
        path, stamp, stat = (self.out / f"{name}.{end}" for end in ("json", "stamp", "stat"))
        current = self.hash(module)
        if not (path.exists() and stat.exists() and stamp.exists() and stamp.read_text() == current):
            inner = " ".join(f"--blackboxed-module {u}" for u in self.units if u != module)
            values = " ".join(f"-G{k}={v}" for k, v in parameters.items())
            initial = "" if module == "sfu_rom" else "--ignore-initial"  # only the table keeps its contents
            read = f"{READ.format(top=module)} {initial} {inner} {values} "
            start = time.time()
            read += " ".join(str(p) for p in self.sources)
            elaborated = self.out / f"{name}.inner.json"
            self.yosys(name, read, f"select {module}", f"write_json -selected {elaborated}")
            cells = json.loads(elaborated.read_text())["modules"][module]["cells"].values()
            inside = [c for c in cells if c["type"] in self.units]
            elaborated.write_text(json.dumps([[c["type"], c["parameters"]] for c in inside]))
            # Inner units stay black boxes; what they were instantiated with is noted, the mapper takes none.
            unset = [f"setparam -unset {p} t:{u}" for u, p in sorted({(c["type"], p) for c in inside for p in c["parameters"]})]
            mapping = MAP.format(top=module)
            if NO_SHIFT_REGISTERS in self.text[self.home[module]]:
                mapping += " -nosrl"
            self.yosys(name, read, "chformal -remove", "delete t:$print", *unset, mapping,
                       f"select {module}", f"tee -o {stat} stat -tech xilinx", f"write_json -selected {path}")
            print(f"  {name}: {time.time() - start:.0f} s", file=sys.stderr, flush=True)
            stamp.write_text(current)
        logic_cells = int(re.search(r"Estimated number of LCs:\s+(\d+)", stat.read_text()).group(1))
        inner = json.loads((self.out / f"{name}.inner.json").read_text())
        return json.loads(path.read_text())["modules"][module], logic_cells, inner

    def yosys(self, name, *commands):
        log = self.out / f"{name}.log"
        with log.open("w") as stream:
            done = subprocess.run([ROOT / "hw/synth/yosys", *commands], stdout=stream, stderr=subprocess.STDOUT, cwd=ROOT)
        if done.returncode != 0:
            errors = [line for line in log.read_text().splitlines() if "rror" in line][:5]
            sys.exit("\n".join([f"hw/synth/run: {name} failed; the log is {log.relative_to(ROOT)}", *errors]))

    def build(self, module, parameters):
        """Own resources, inner units and slowest paths of a unit, itself counted once."""
        name = self.key(module, parameters)
        if name in self.built:
            return name
        mapped, logic_cells, inside = self.netlist(module, parameters)
        cells = mapped["cells"]
        inner = collections.Counter(self.build(kind, self.given(kind, given)) for kind, given in inside)
        unknown = {c["type"] for c in cells.values() if c["type"] not in self.units and not netlist.is_device_cell(c["type"])}
        if unknown:
            sys.exit(f"hw/synth/run: {name} has cells that were not mapped: {', '.join(sorted(unknown))}")
        late = {port: netlist.CLOCK_TO_OUT[cell] for (unit, port), cell in FROM_MEMORY.items() if unit == module}
        self.built[name] = (module, netlist.resources(cells, logic_cells), inner, netlist.Paths(mapped, late).worst())
        return name

    def given(self, module, parameters):
        """The parameters that an instance may set, as numbers."""
        out = {}
        for name in self.modules[module]:
            value = parameters.get(name)
            if name == "RomFile":
                out[name] = f'"{ROOT}/hw/tables/sfu.hex"'
            elif isinstance(value, str) and re.fullmatch("[01]+", value):
                out[name] = int(value, 2)
            elif isinstance(value, str):
                out[name] = f'"{value}"'
        return out

    def counts(self, top):
        """How often each built unit occurs below `top`."""
        total = collections.Counter()

        def add(name, times):
            total[name] += times
            for inner, n in self.built[name][2].items():
                add(inner, times * n)

        add(top, 1)
        return total


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def amount(value):
    return f"{value:,.1f}".removesuffix(".0") if isinstance(value, float) else f"{value:,}"


def report(flow, config, counts):
    fields = list(netlist.Resources._fields)
    groups = {g: collections.Counter() for g in GROUPS}
    units, depths, late = [], [], []
    for name, times in counts.items():
        module, used, _, paths = flow.built[name]
        for field in fields:
            groups[GROUP_OF[module]][field] += times * getattr(used, field)
        units.append((GROUP_OF[module], name, times, used))
        for clock, (ns, levels, dsps, start, end) in paths.items():
            ok = ns <= PERIOD_NS[clock]
            depths.append((ns / PERIOD_NS[clock], [name, clock, str(levels), str(dsps), f"{ns:.2f}", f"{1e3 / ns:.0f}",
                                                  "" if ok else "**too slow**", f"{clean(start)} to {clean(end)}"]))
            late += [] if ok else [name]
    total = {f: sum(g[f] for g in groups.values()) for f in fields}
    share = {f: 100 * total[f] / DEVICE[f] for f in DEVICE}
    over = [f for f in DEVICE if share[f] > LIMIT_PERCENT[f]]
    columns = [{"lcs": "(Yosys LCs)", "cells": "(LUT cells)"}.get(f, f.upper()) for f in fields]
    head = ["", *columns]
    rows = [[g, *(amount(groups[g][f]) for f in fields)] for g in GROUPS]
    rows += [["**total**", *(amount(total[f]) for f in fields)],
             ["XCU280", *(amount(DEVICE[f]) if f in DEVICE else "" for f in fields)],
             ["share (limit)", *(f"{share[f]:.1f} % ({LIMIT_PERCENT[f]} %)" if f in DEVICE else "" for f in fields)]]
    order = list(GROUPS)
    verdict = (f"Over a limit: {', '.join(f.upper() for f in over) or 'nothing'}. "
               f"Units with a path that is too slow: {len(set(late)) or 'none'}.")
    parts = [table(head, rows), verdict,
             "## Units\n\nEach without the units inside it.\n\n" +
             table(["unit", "times", *columns],
                   [[n, str(t), *(amount(getattr(u, f)) for f in fields)]
                    for g, n, t, u in sorted(units, key=lambda x: (order.index(x[0]), -x[2] * x[3].lut, x[1]))]),
             "## Slowest path of each unit and clock\n\n" +
             table(["unit", "clock", "LUT levels", "multipliers", "ns", "MHz", "", "path"],
                   [row for _, row in sorted(depths, key=lambda x: (-x[0], x[1]))])]
    return "\n\n".join(parts), over, late


def clean(name):
    """A readable name: generated parts of Yosys cell names go."""
    name = re.sub(r"^\$(?:auto|abc)\$[^$]*\$|\$auto\$\S*|\$\d+$", "", name)
    return re.sub(r"_(FD|LUT|SRL|RAM|CARRY)\w*$", "", name).replace("|", "/")[-60:] or "(unnamed)"


def main():
    config = sys.argv[1] if len(sys.argv) > 1 else "u280"
    wanted = sys.argv[2:]
    flow = Flow(config)
    for unit in wanted:
        if unit not in flow.units:
            sys.exit(f"hw/synth/run: {unit} is no unit of hw/synth/units.py")
    counts = collections.Counter()
    for unit in wanted or [TOP]:
        counts += flow.counts(flow.build(unit, flow.given(unit, {})))
    text, over, late = report(flow, config, counts)
    if not wanted:
        intro = (pathlib.Path(__file__).with_name("report.md")).read_text().replace("{config}", config)
        path = pathlib.Path(__file__).with_name(f"{config}.md")
        path.write_text(intro + "\n" + text + "\n")
        print(f"wrote {path.relative_to(ROOT)}")
    else:
        print(text)
    for field in over:
        print(f"FAIL {field}: over its limit", file=sys.stderr)
    for name in sorted(set(late)):
        print(f"FAIL {name}: a path is too slow", file=sys.stderr)
    sys.exit(1 if over or late else 0)


main()
