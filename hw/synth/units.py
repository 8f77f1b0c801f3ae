"""The units that are synthesised on their own, and the row of the report that each belongs to.

A module that is instantiated many times is a unit, so that it is mapped once and counted; every module that
is no unit is flattened into the unit around it. Names that the design does not have are ignored.
"""

MPE = ["mpe_array", "mpe_blocks", "mpe_feed", "mpe_slice", "mpe_weights", "mpe_chain", "mm_unit", "mm_dequant",
       "mm_dequant_slice", "mm_lane", "mm_issue"]
VECTOR = ["vx_unit", "vx_word", "vx_lane", "vx_reduce", "vx_red_lane", "vx_gather_sum", "vx_add_word", "sfu_rom", "vx_divide", "vx_check"]
BUFFERS = ["spad", "abuf", "sram", "shared_ram", "weight_fifo", "scale_fifo", "peek_fifo", "compute"]
TRANSFER = ["weight_stream", "expander", "run_walker", "ld_unit", "st_unit", "st_setup", "axi_read_engine",
            "axi_write_engine", "axi_single_write"]
CONTROL = ["fvlm_top", "csr", "launch", "fetch", "dispatch", "queues", "fault", "counters"]

GROUPS = {"Matrix array and dequantisers": MPE, "Vector unit and function tables": VECTOR, "On-chip buffers": BUFFERS,
          "Transfers (main memory, channels, expanders)": TRANSFER, "Controller": CONTROL}
GROUP_OF = {unit: group for group, units in GROUPS.items() for unit in units}

# Inputs that come straight from a memory of another unit, without a register behind it: (unit, port) -> the
# memory's cell. The path of such an input begins with the cell's clock-to-output time.
FROM_MEMORY = {("dispatch", "insn_i"): "RAMB36E2"}

# XCU280: LUT, FF, BRAM36, URAM, DSP (AMD UG1314 / DS963), and the share of each the design may take, %.
DEVICE = {"lut": 1303680, "ff": 2607360, "bram": 2016, "uram": 960, "dsp": 9024}
LIMIT_PERCENT = {"lut": 75, "ff": 75, "bram": 75, "uram": 90, "dsp": 75}

# What a path may take. Levels are reported beside it, not gated: the time of one depends on what its nets drive.
PERIOD_NS = {"kernel": 1e3 / 225, "fast": 1e3 / 450}
