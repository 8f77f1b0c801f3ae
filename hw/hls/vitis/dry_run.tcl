# What build.tcl would tell Vitis HLS, without Vitis HLS:
#
#   tclsh dry_run.tcl CONFIG STEP... [CASE-FOLDER]
#
# Every tool command is printed as one Tcl list; files that it names must exist.

proc record {name} {
    proc ::$name args "puts \[list $name {*}\$args\]"
}
foreach name {
    open_project set_top open_solution set_part create_clock config_interface config_compile
    csim_design csynth_design cosim_design export_design
} {
    record $name
}
proc add_files args {
    set file [lindex $args end]
    if {![file exists $file]} {
        error "add_files: no file $file"
    }
    puts [list add_files {*}$args]
}
source [file join [file dirname [file normalize [info script]]] build.tcl]
