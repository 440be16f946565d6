package ssmwire

// #include "shim.h"
import "C"

import "context"

// ECSExec is what to run in a container.
type ECSExec struct {
	Cluster   string // the cluster's name or ARN; without one, the account's default
	Task      string // the task's id or ARN
	Container string // the container's name; a task that has one only can do without
	Command   string // what to run, as one line: words, which no shell takes apart
}

// ECSExec runs a command in a terminal in a container (ECS ExecuteCommand).
func (c *Client) ECSExec(ctx context.Context, exec ECSExec) (*Shell, error) {
	var copies texts
	defer copies.free()
	options := C.ssmwire_ecs_exec_options{
		size:      C.sizeof_ssmwire_ecs_exec_options,
		cluster:   copies.of("Cluster", exec.Cluster),
		task:      copies.of("Task", exec.Task),
		container: copies.of("Container", exec.Container),
		command:   copies.of("Command", exec.Command),
	}
	session, err := c.start(ctx, exec.Task, &copies, func(session *C.ssmwire_session, info *C.ssmwire_error) status {
		return C.ssmwire_ecs_exec_start(c.client(), &options, session, info)
	})
	if err != nil {
		return nil, err
	}
	return session.shell()
}
