# Builds the kernel with Vitis HLS:
#
#   vitis_hls -f build.tcl -tclargs CONFIG STEP... [CASE-FOLDER]
#
# CONFIG is sim, mini or u280; steps are csim, csynth, cosim and export, in that order. csim and cosim
# replay the launches of CASE-FOLDER (../README.md says how to make them). The project and the kernel
# object (flightvlm_hls_CONFIG.xo) go to the current folder.

set here [file dirname [file normalize [info script]]]
set gen [file normalize [file join $here .. gen]]
source [file join $gen configs.tcl]

proc fail {message} {
    puts stderr "build.tcl: $message"
    exit 2
}

# The tool passes its own arguments on: ours follow -tclargs.
set words $argv
set at [lsearch -exact $words -tclargs]
if {$at >= 0} {
    set words [lrange $words [expr {$at + 1}] end]
}
set known {csim csynth cosim export}
set config [lindex $words 0]
if {![dict exists $configs $config]} {
    fail "configuration \"$config\" does not exist: expected one of [dict keys $configs]"
}
set steps {}
set folder ""
foreach word [lrange $words 1 end] {
    if {$word in $known} {
        lappend steps $word
    } elseif {[file isdirectory $word] && $folder eq ""} {
        set folder [file normalize $word]
    } else {
        fail "\"$word\" is neither a step ($known) nor a folder of cases"
    }
}
if {$steps eq {}} {
    fail "no step: expected some of $known"
}
set cases {}
if {$folder ne ""} {
    set cases [lsort [glob -nocomplain -directory $folder *.case]]
}
if {("csim" in $steps || "cosim" in $steps) && $cases eq {}} {
    fail "csim and cosim need a folder with *.case files: see README.md"
}

set top [dict get $configs $config top]
set flags "-std=c++14 -I$gen"
set bench "$flags -include $top.hpp -DCONFIG=[dict get $configs $config class] -Wno-unknown-pragmas"

open_project -reset project_$config
set_top $top
add_files -cflags $flags [file join $gen $top.cpp]
add_files -tb -cflags $bench [file normalize [file join $here .. tb replay.cpp]]
open_solution -reset solution -flow_target vitis
set_part [dict get $configs $config part]
create_clock -period [dict get $configs $config period_ns] -name default
# Units are aligned, and float results are exact: no reassociation. Both are the defaults; said here because
# results depend on it.
config_interface -m_axi_alignment_byte_size 64
config_compile -unsafe_math_optimizations=false
foreach step $known {
    if {$step ni $steps} {
        continue
    }
    switch $step {
        csim { csim_design -argv $cases }
        csynth { csynth_design }
        cosim { cosim_design -argv $cases }
        export { export_design -format xo -output [file join [pwd] $top.xo] }
    }
}
exit 0
