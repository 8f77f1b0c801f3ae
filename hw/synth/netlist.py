"""A mapped unit (Yosys JSON): what it uses of the device, its inner units, its slowest path."""

import collections

# LUTs that one cell takes; LUTs that serve as memory included.
LUTS = {"SRL16E": 1, "SRLC16E": 1, "SRLC32E": 1, "RAM32X1S": 1, "RAM64X1S": 1, "RAM32X1D": 2, "RAM64X1D": 2,
        "RAM128X1D": 4, "RAM256X1D": 8, "RAM32M": 4, "RAM64M": 4, "RAM32M16": 8, "RAM64M8": 8, "RAM128X1S": 2,
        "RAM256X1S": 4, "RAM512X1S": 8}
LUTS.update({f"LUT{i}": 1 for i in range(1, 7)})
FLIP_FLOPS = {"FDRE", "FDSE", "FDCE", "FDPE", "FDRE_1", "FDSE_1", "LDCE", "LDPE"}
BRAM36 = {"RAMB36E2": 1.0, "RAMB18E2": 0.5}
FREE = {"MUXF7", "MUXF8", "MUXF9", "CARRY4", "CARRY8", "INV", "BUF", "BUFG", "GND", "VCC", "$scopeinfo"}

# `lut`: LUT6 sites. `lcs`: with Yosys' own estimate for the logic. `cells`: LUTs as the mapper left them.
Resources = collections.namedtuple("Resources", "lut lcs cells ff bram uram dsp")

# Delay model, ns. Round figures of the right size for a 16 nm UltraScale+ part of middle speed grade, before
# routing is known; an assumption, not a data sheet. A net costs more with more readers.
CLOCK_TO_OUT = {"RAMB36E2": 1.0, "RAMB18E2": 1.0, "URAM288": 1.3, "DSP48E2": 0.3}
CLOCK_TO_OUT_FF, SETUP_FF, SETUP_HARD = 0.10, 0.05, 0.35
LUT, LUT_RAM_READ, MUXF, CARRY_IN, CARRY_THROUGH, CARRY_OUT = 0.12, 0.25, 0.06, 0.15, 0.03, 0.10
DSP_MULTIPLY = 2.4


def net_delay(readers):
    return 0.35 if readers <= 8 else 0.50 if readers <= 64 else 0.70


def shift_registers(cells):
    """LUTs for shift registers: two of at most 16 bits share one when clock, enable and length are the same."""
    alike = collections.Counter()
    for cell in cells.values():
        if cell["type"] in ("SRL16E", "SRLC16E"):
            con = cell["connections"]
            alike[tuple(tuple(con[p]) for p in ("CLK", "CE", "A0", "A1", "A2", "A3"))] += 1
    return sum((n + 1) // 2 for n in alike.values())


def lut_sites(cells):
    """LUT6 sites of the logic: the site has two outputs, so two LUTs share it if they have a common input and at most
    five between them. A LUT at a carry chain or a wide multiplexer has its place there and none to give away; a bit of
    a carry chain without a LUT takes its site as well."""
    wired, through = set(), 0
    lut_of = {c["connections"]["O"][0]: n for n, c in cells.items() if c["type"].startswith("LUT")}
    for cell in cells.values():
        con = cell["connections"]
        if cell["type"].startswith("MUXF"):
            wired.update(lut_of[b] for b in con["I0"] + con["I1"] if b in lut_of)
        elif cell["type"] in ("CARRY4", "CARRY8"):
            for bit in con["S"]:
                if bit in lut_of:
                    wired.add(lut_of[bit])
                elif not isinstance(bit, str):
                    through += 1
    inputs, users, sites = {}, collections.defaultdict(list), through
    for name, cell in cells.items():
        if cell["type"].startswith("LUT"):
            nets = frozenset(b for p, bits in cell["connections"].items() if p != "O" for b in bits if not isinstance(b, str))
            if name in wired or len(nets) > 5:
                sites += 1
            else:
                inputs[name] = nets
                for net in nets:
                    users[net].append(name)
    open_ = dict(inputs)
    for name in sorted(inputs, key=lambda n: -len(inputs[n])):
        nets = open_.pop(name, None)
        if nets is None:
            continue
        sites += 1
        best = None
        for net in sorted(nets, key=lambda n: len(users[n])):
            users[net] = [u for u in users[net] if u in open_]
            for other in users[net][:64]:
                if len(nets | inputs[other]) <= 5 and (best is None or len(inputs[other]) > len(inputs[best])):
                    best = other
            if best is not None and len(inputs[best]) == len(nets):
                break
        if best is not None:
            del open_[best]
    return sites


def resources(cells, logic_cells):
    """What the cells take; `logic_cells` is Yosys' estimate of LUT6 for the logic."""
    raw = ff = uram = dsp = memory = 0
    bram = 0.0
    for cell in cells.values():
        kind = cell["type"]
        raw += LUTS.get(kind, 0)
        memory += LUTS.get(kind, 0) if not kind.startswith(("LUT", "SRL")) or kind == "SRLC32E" else 0
        ff += kind in FLIP_FLOPS
        bram += BRAM36.get(kind, 0)
        uram += kind == "URAM288"
        dsp += kind == "DSP48E2"
    memory += shift_registers(cells)
    return Resources(lut_sites(cells) + memory, logic_cells + memory, raw, ff, bram, uram, dsp)


def is_device_cell(kind):
    return kind in LUTS or kind in FLIP_FLOPS or kind in BRAM36 or kind in FREE or kind in ("URAM288", "DSP48E2")


class Paths:
    """Longest path to every net bit, for the clock that bounds it; `late` are the clock-to-output times, ns, of inputs
    that come from no register."""

    def __init__(self, module, late=None):
        self.late = late or {}
        self.cells = module["cells"]
        self.ports = module["ports"]
        self.driver = {}
        self.readers = collections.Counter()
        self.port_of = {}
        for name, port in self.ports.items():
            for bit in port["bits"]:
                if port["direction"] == "input":
                    self.port_of[bit] = name
                else:
                    self.readers[bit] += 1
        for name, cell in self.cells.items():
            for pin, bits in cell["connections"].items():
                out = cell["port_directions"].get(pin) == "output"
                for i, bit in enumerate(bits):
                    if out:
                        self.driver[bit] = (name, pin, i)
                    else:
                        self.readers[bit] += 1
        self.net = {}
        for name, net in module["netnames"].items():
            if not net["hide_name"]:
                for i, bit in enumerate(net["bits"]):
                    known = self.net.get(bit)
                    if known is None or len(name) < len(known):
                        self.net[bit] = name
        self.arrival = {}

    def cell_name(self, name):
        """A register is called by what it drives."""
        for pin in ("Q", "O", "DOUT_B", "P"):
            for bit in self.cells[name]["connections"].get(pin, []):
                if bit in self.net:
                    return self.net[bit]
        return name

    def clock(self, cell):
        for pin in ("C", "CLK", "WCLK", "CLKARDCLK", "CLKBWRCLK"):
            for bit in cell["connections"].get(pin, []):
                return self.port_of.get(bit)
        return None

    @staticmethod
    def number(cell, name):
        value = cell["parameters"].get(name, 0)
        return int(value, 2) if isinstance(value, str) and set(value) <= {"0", "1"} and value else int(value or 0)

    def inputs(self, name, pin, index=0):
        """Combinational inputs of an output pin with the delay through the cell, or None at a register."""
        cell = self.cells[name]
        kind, con = cell["type"], cell["connections"]
        bits = lambda *pins: [b for p in pins for b in con.get(p, []) if not isinstance(b, str)]
        if kind.startswith("LUT"):
            return [(b, LUT, 1) for b in bits(*(p for p in con if p != "O"))]
        if kind.startswith("MUXF"):
            return [(b, MUXF, 0) for b in bits("I0", "I1", "S")]
        if kind in ("INV", "BUF", "BUFG"):
            return [(b, 0.0, 0) for b in bits("I", "A")]
        if kind in ("CARRY4", "CARRY8"):
            through = CARRY_THROUGH + (CARRY_OUT if pin == "O" else 0)
            entry = CARRY_IN + (CARRY_OUT if pin == "O" else 0)
            low = [b for p in ("S", "DI") for b in con[p][:index + 1] if not isinstance(b, str)]  # not from higher bits
            return [(b, through, 0) for b in bits("CI", "CYINIT")] + [(b, entry, 0) for b in low]
        if kind.startswith("RAM") and not kind.startswith("RAMB"):
            port = f"ADDR{pin[2]}" if pin.startswith("DO") and f"ADDR{pin[2:3]}" in con else ("ADDR", "A", "DPRA")
            return [(b, LUT_RAM_READ, 1) for p in con if p.startswith(port) for b in bits(p)]
        if kind == "DSP48E2" and not any(self.number(cell, r) for r in ("AREG", "BREG", "MREG", "PREG")):
            return [(b, DSP_MULTIPLY, 0) for b in bits("A", "B", "C", "D")]
        return None

    def register_delay(self, cell):
        return CLOCK_TO_OUT.get(cell["type"], CLOCK_TO_OUT_FF)

    def at(self, bit):
        """(ns, LUT levels, DSPs, start) of the slowest path to a bit, its net not included; no recursion."""
        stack = [bit]
        while stack:
            b = stack[-1]
            if b in self.arrival:
                stack.pop()
                continue
            if isinstance(b, str):
                self.arrival[b] = (0.0, 0, 0, "constant", None)
            elif b in self.port_of:
                # An input comes from a register next door, unless the caller knows better.
                self.arrival[b] = (self.late.get(self.port_of[b], CLOCK_TO_OUT_FF), 0, 0, self.port_of[b], None)
            elif b not in self.driver:
                self.arrival[b] = (0.0, 0, 0, "undriven", None)
            else:
                name, pin, index = self.driver[b]
                cell = self.cells[name]
                sources = self.inputs(name, pin, index)
                if sources is None:
                    self.arrival[b] = (self.register_delay(cell), 0, 0, self.net.get(b, name), self.clock(cell))
                else:
                    todo = [s for s, _, _ in sources if s not in self.arrival]
                    if todo:
                        self.arrival.setdefault(("open", b), True)
                        stack.extend(t for t in todo if ("open", t) not in self.arrival)
                        if all(("open", t) in self.arrival for t in todo):
                            raise SystemExit(f"combinational loop at {name}")
                        continue
                    best = (0.0, 0, 0, "constant", None)
                    dsp = cell["type"] == "DSP48E2"
                    direct = cell["type"].startswith(("MUXF", "CARRY"))
                    for s, delay, level in sources:
                        ns, levels, dsps, start, clock = self.arrival[s]
                        # Wide multiplexers and carries sit beside the LUTs that feed them.
                        near = direct and s in self.driver and self.cells[self.driver[s][0]]["type"].startswith(("LUT", "MUXF", "CARRY"))
                        total = ns + (0.0 if near else net_delay(self.readers[s])) + delay
                        if total > best[0]:
                            best = (total, levels + level, dsps + dsp, start, clock)
                    self.arrival[b] = best
            stack.pop()
        return self.arrival[bit]

    def worst(self, fast_clock="clk2x_i"):
        """Per clock, 'fast' or 'kernel': (ns, levels, DSPs, from, to)."""
        worst = {}

        def end(bit, setup, clock, where):
            if isinstance(bit, str):
                return
            ns, levels, dsps, start, launch = self.at(bit)
            if start == "constant":
                return
            kind = "fast" if fast_clock in (clock, launch) else "kernel"
            path = (ns + net_delay(self.readers[bit]) + setup, levels, dsps, start, where)
            if path[:3] > worst.get(kind, (0, 0, 0))[:3]:
                worst[kind] = path

        for name, cell in self.cells.items():
            kind = cell["type"]
            if kind in FREE or kind.startswith("LUT") or not is_device_cell(kind):
                continue
            if kind == "DSP48E2" and self.inputs(name, "P") is not None:
                continue
            clock = self.clock(cell)
            setup = SETUP_FF if kind in FLIP_FLOPS or kind in LUTS else SETUP_HARD
            for pin, bits in cell["connections"].items():
                if cell["port_directions"].get(pin) != "input" or pin in ("C", "CLK", "WCLK", "CLKARDCLK", "CLKBWRCLK"):
                    continue
                if kind in LUTS and kind.startswith("RAM") and pin.startswith(("ADDR", "DPRA")) and pin[-1] != "H":
                    continue  # read address: part of a path, not its end
                for bit in bits:
                    if pin == "PCIN":
                        continue  # the cascade wire
                    end(bit, setup, clock, self.cell_name(name))
        for name, port in self.ports.items():
            if port["direction"] == "output":
                for bit in port["bits"]:
                    end(bit, SETUP_FF, None, name)
        return worst
