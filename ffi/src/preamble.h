/*
 * ssmwire: AWS Systems Manager sessions as a library.
 *
 * Six rules.
 *
 * Memory. What a call is given it borrows until it returns. What it gives is copied into memory of the caller. So there
 * is nothing to free. Texts are UTF-8 and end with a zero byte. Structs begin with their size, as SSMWIRE_…_INIT sets it:
 * later versions add fields at the end, and a program that was built before still works. Zero is the default of every
 * option, and a switch of type uint8_t is on with any other value; a program that sets an option which this version of the
 * library does not have yet is told so, with SSMWIRE_INVALID_ARGUMENT.
 *
 * Handles. What lives longer than a call is a 64-bit id in a struct of its own, which is copied like a number. An id that
 * was closed, was never opened or is of another kind is found out: SSMWIRE_BAD_HANDLE. A handle may be used by any thread
 * at any time, and closed while others use it: they go on with SSMWIRE_BAD_HANDLE. Closing twice is harmless. After a fork
 * a child's calls with its parent's handles return SSMWIRE_FORKED, and do the parent no harm; a new client works.
 *
 * Time. What may wait takes timeout_ms: below 0 it waits as long as it takes; with 0 not at all, and returns
 * SSMWIRE_AGAIN; else it waits so long, and returns SSMWIRE_TIMEOUT. Stopping to wait loses nothing. A handle that has
 * returned SSMWIRE_AGAIN can be watched by a queue, whose descriptor an event loop can wait for. While one thread waits
 * for something of a handle, another that wants to wait for the same gets SSMWIRE_BUSY.
 *
 * Errors. Calls return SSMWIRE_OK, SSMWIRE_AGAIN, SSMWIRE_EOF, or the number of an error, 100 or more. Who wants to know
 * more passes an ssmwire_error; NULL will do.
 *
 * Threads. The library runs a few threads of its own. They call the caller's functions for nothing but the log and
 * credentials, and only one of them does. A signal ends no wait, and its handler may make no call: it writes to a pipe
 * that the event loop waits for, too.
 *
 * The end. Before it ends, a program closes its sessions and waits for that, or calls ssmwire_shutdown, which does so for
 * all. Else the service does not hear of their end, and has them until they have been idle for long enough.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
