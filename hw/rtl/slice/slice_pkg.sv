// What LD hands to the slices, and what a slice makes of it for its two halves.
`default_nettype none

/* verilator lint_off UNUSEDPARAM */
package slice_pkg;
  localparam int unsigned Slices = fvlm_isa_pkg::Slices;
  localparam int unsigned SliceShift = $clog2(Slices);
  localparam int unsigned SliceW = (Slices > 1) ? SliceShift : 1;

  // Format of the tiles of a command.
  typedef struct packed {
    logic [9:0]  kb;      // words a tile, 1 .. 512
    logic [9:0]  group;   // words of its first scale group
    logic        wscale;
    logic        bias;
    logic [2:0]  fmt;
    logic [2:0]  nm;
    logic [15:0] pc;
  } format_t;

  // A weight load as LD offers it to all slices.
  typedef struct packed {
    logic [15:0] first;      // slot of the first tile
    logic [15:0] rows;       // tiles, all slices together
    logic [31:0] unit;       // of the round of the first tile
    logic [31:0] stride;     // units from round to round
    logic [31:0] units;      // units a tile
    logic        packed_;    // stride = units: the tiles of a slice lie without gaps
    logic [31:0] all_units;  // units of the slices that have the most tiles
    format_t     format;
  } stream_cmd_t;

  // Runs of contiguous units to read.
  typedef struct packed {
    logic [31:0] unit;
    logic [31:0] stride;
    logic [31:0] units;
    logic [15:0] runs;
  } run_t;

  // Tiles to expand.
  typedef struct packed {
    logic [15:0] tiles;
    logic [31:0] units;
    logic        none;    // units = 0
    logic        single;  // units = 1
    logic [9:0]  behind;  // words behind the first scale group
    format_t     format;
  } tiles_t;
endpackage
/* verilator lint_on UNUSEDPARAM */

`default_nettype wire
