package ssmwire

// OpenHandles returns how many handles are open.
func OpenHandles() int {
	everything.mutex.Lock()
	defer everything.mutex.Unlock()
	return len(everything.handles)
}
