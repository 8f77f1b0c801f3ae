# Packages the RTL as a Vitis kernel object.
# usage: vivado -mode batch -source package_kernel.tcl -tclargs HW_FOLDER OUTPUT.xo
if {$argc != 2} {
    puts stderr "usage: package_kernel.tcl HW_FOLDER OUTPUT.xo"
    exit 2
}
lassign $argv hw xo
set here [file dirname [file normalize [info script]]]
set rtl [file join $hw rtl]

# Files of a list, those of the lists in it included.
proc sources {rtl name} {
    set channel [open [file join $rtl $name]]
    set lines [split [read $channel] "\n"]
    close $channel
    set files {}
    foreach line $lines {
        regsub {//.*} $line {} line
        set line [string trim $line]
        if {$line eq {}} continue
        if {[regexp {^-f\s+(\S+)$} $line -> inner]} {
            lappend files {*}[sources $rtl $inner]
        } else {
            lappend files [file join $rtl $line]
        }
    }
    return $files
}

set files [list [file join $rtl $package] {*}[sources $rtl flightvlm.f] {*}[sources $rtl card/card.f]]
lappend files [file join $here $kernel.v] [file join $hw tables sfu.hex]
foreach file $files {
    if {![file exists $file]} {
        puts stderr "package_kernel.tcl: $file is missing"
        exit 2
    }
}

create_project -force package_$kernel ./package_$kernel -part $part
add_files -norecurse $files
set_property file_type {Memory Initialization Files} [get_files sfu.hex]
set_property top $kernel [current_fileset]
update_compile_order -fileset sources_1

ipx::package_project -root_dir ./ip_$kernel -vendor flightvlm.org -library kernel -taxonomy /KernelIP \
    -import_files -set_current true
set core [ipx::current_core]
set_property sdx_kernel true $core
set_property sdx_kernel_type rtl $core
set_property vitis_drc {ctrl_protocol ap_ctrl_hs} $core
set_property ipi_drc {ignore_freq_hz true} $core

ipx::associate_bus_interfaces -busif s_axi_control -clock ap_clk $core
foreach port $masters {
    ipx::associate_bus_interfaces -busif $port -clock ap_clk $core
    set bus [ipx::get_bus_interfaces $port -of_objects $core]
    # Whole 64-byte beats only, incrementing bursts.
    foreach {name value} {HAS_BURST 0 SUPPORTS_NARROW_BURST 0} {
        set parameter [ipx::add_bus_parameter $name $bus]
        set_property value $value $parameter
    }
}

set map [ipx::add_memory_map -quiet s_axi_control $core]
set block [ipx::add_address_block -quiet reg0 $map]
foreach {name offset bytes port} $registers {
    set register [ipx::add_register -quiet $name $block]
    set_property address_offset $offset $register
    set_property size [expr {8 * $bytes}] $register
    if {$port ne {}} {
        set parameter [ipx::add_register_parameter -quiet ASSOCIATED_BUSIF $register]
        set_property value $port $parameter
    }
}
set_property slave_memory_map_ref s_axi_control [ipx::get_bus_interfaces s_axi_control -of_objects $core]

ipx::create_xgui_files $core
ipx::update_checksums $core
ipx::check_integrity -kernel $core
ipx::save_core $core
package_xo -force -xo_path $xo -kernel_name $kernel -ip_directory ./ip_$kernel \
    -kernel_xml [file join $here kernel.xml] -ctrl_protocol ap_ctrl_hs
close_project
