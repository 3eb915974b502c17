/* SPDX-License-Identifier: Apache-2.0 */
/* The files themselves, as read-only data; the list is in shipped.c too. */
    .macro profile name
    .globl fl_shipped_\name
    .type fl_shipped_\name, %object
fl_shipped_\name:
    .incbin "profiles/\name\().profile"
    .globl fl_shipped_\name\()_end
fl_shipped_\name\()_end:
    .byte 0
    .size fl_shipped_\name, . - fl_shipped_\name
    .endm

    .section .rodata
    profile camera
    profile meter
    profile thermostat

    .section .note.GNU-stack, "", %progbits
