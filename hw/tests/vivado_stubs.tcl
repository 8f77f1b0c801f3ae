# Vivado's commands as far as a packaging script may use them: each call is printed, anything else is an error.
# usage: tclsh vivado_stubs.tcl SCRIPT ARGUMENT...
proc record {name arguments} {
    puts [join [list $name {*}$arguments] "\t"]
    return "<$name [lindex $arguments 0]>"
}
foreach name {
    create_project add_files set_property get_files current_fileset update_compile_order get_cells close_project
    package_xo ipx::package_project ipx::current_core ipx::associate_bus_interfaces ipx::get_bus_interfaces
    ipx::add_bus_parameter ipx::add_memory_map ipx::add_address_block ipx::add_register
    ipx::add_register_parameter ipx::create_xgui_files ipx::update_checksums ipx::check_integrity ipx::save_core
} {
    namespace eval [namespace qualifiers ::$name] {}
    proc ::$name args "record $name \$args"
}
proc unknown args { error "not a command: [lindex $args 0]" }

set argv [lassign $argv script]
set argc [llength $argv]
info script $script
source $script
