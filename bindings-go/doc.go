// Package ssmwire opens AWS Systems Manager sessions: commands, shells, and connections to ports of managed nodes and of
// hosts that they reach. There is no child process, no aws command and no session-manager-plugin.
//
//	client, err := ssmwire.New(ssmwire.Config{Region: "eu-west-1"})
//	defer client.Close()
//	out, err := client.Run(ctx, "i-0123456789abcdef0", ssmwire.Command("uname", "-a"))
//	conn, err := client.DialContext(ctx, "i-0123456789abcdef0", "tcp", "db.internal:5432")
//
// It is made on the C library, which pkg-config finds under the name ssmwire.
//
// Everything may be used by any number of goroutines at once, and closed while others use it: they go on with
// [net.ErrClosed]. A call that is given up, since its context or its deadline is over, has lost nothing that the next one
// would not find. Waiting costs no thread: one goroutine waits for everything.
//
// Errors are [*Error]. Their kind is found with [errors.Is], as in errors.Is(err, ssmwire.ErrTargetNotConnected); where a
// context is the reason, errors.Is finds that, too.
//
// What is not closed, is closed some time after nobody can use it any more. With the build tag ssmwiredebug the place
// that has opened it is reported then, and collections run all the time, so that what is collected too early shows.
//
// A process that was forked without exec can't use what its parent has opened: ErrForked. Package os/exec does not fork so.
package ssmwire
