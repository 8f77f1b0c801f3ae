// Rules of one AXI4 master port: offers stay until taken, bursts are at most 16 beats within 4 KiB
// and within the declared memory, answers were asked for. Simulation only.
`default_nettype none

module axi_sva (
    input logic         clk_i,
    input logic         rst_ni,
    input logic [31:0]  units_i,   // size of the memory
    input logic         quiet_i,   // nothing may be in flight
    input logic         arvalid_i,
    input logic         arready_i,
    input logic [63:0]  araddr_i,
    input logic [7:0]   arlen_i,
    input logic         rvalid_i,
    input logic         rready_i,
    input logic         rlast_i,
    input logic         awvalid_i,
    input logic         awready_i,
    input logic [63:0]  awaddr_i,
    input logic [7:0]   awlen_i,
    input logic [511:0] wdata_i,
    input logic [63:0]  wstrb_i,
    input logic         wlast_i,
    input logic         wvalid_i,
    input logic         wready_i,
    input logic         bvalid_i
);
  int           reads_q, writes_q;  // bursts in flight, as the bus shows them
  logic         ar_waits_q, aw_waits_q, w_waits_q;
  logic [71:0]  ar_q, aw_q;
  logic [576:0] w_q;

  function automatic logic shape(input logic [63:0] address, input logic [7:0] len);
    shape = len < 8'd16 && 32'(address[11:6]) + 32'(len) < 64 && address[5:0] == '0 &&
            (address >> 6) + 64'(len) < 64'(units_i);
  endfunction

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      reads_q    <= 0;
      writes_q   <= 0;
      ar_waits_q <= 1'b0;
      aw_waits_q <= 1'b0;
      w_waits_q  <= 1'b0;
    end else begin
      ar_waits_q <= arvalid_i && !arready_i;
      aw_waits_q <= awvalid_i && !awready_i;
      w_waits_q  <= wvalid_i && !wready_i;
      if (arvalid_i || rvalid_i) begin
        reads_q <= reads_q + int'(arvalid_i && arready_i) - int'(rvalid_i && rready_i && rlast_i);
      end
      if (awvalid_i || bvalid_i) begin
        writes_q <= writes_q + int'(awvalid_i && awready_i) - int'(bvalid_i);
      end
      if (arvalid_i && !arready_i) ar_q <= {arlen_i, araddr_i};
      if (awvalid_i && !awready_i) aw_q <= {awlen_i, awaddr_i};
      if (wvalid_i && !wready_i) w_q <= {wlast_i, wstrb_i, wdata_i};

      if (ar_waits_q) begin
        ArStable_A: assert (arvalid_i && ar_q == {arlen_i, araddr_i}) else $error("ArStable_A");
      end
      if (aw_waits_q) begin
        AwStable_A: assert (awvalid_i && aw_q == {awlen_i, awaddr_i}) else $error("AwStable_A");
      end
      if (w_waits_q) begin
        WStable_A: assert (wvalid_i && w_q == {wlast_i, wstrb_i, wdata_i}) else $error("WStable_A");
      end
      if (arvalid_i) ArShape_A: assert (shape(araddr_i, arlen_i)) else $error("ArShape_A");
      if (awvalid_i) AwShape_A: assert (shape(awaddr_i, awlen_i)) else $error("AwShape_A");
      if (rvalid_i) RExpected_A: assert (reads_q > 0) else $error("RExpected_A");
      if (bvalid_i) BExpected_A: assert (writes_q > 0) else $error("BExpected_A");
      if (quiet_i) Quiet_A: assert (reads_q == 0 && writes_q == 0) else $error("Quiet_A");
    end
  end
endmodule

`default_nettype wire
