package ssmwire

import "context"

// Shell is a shell in a terminal: an [io.ReadWriteCloser] with deadlines, whose terminal can be resized.
type Shell struct {
	*Conn
	session *Session
}

// Shell opens the account's default shell in a terminal of that size; zero is 80 by 24.
func (c *Client) Shell(ctx context.Context, target string, size Size) (*Shell, error) {
	if size == (Size{}) {
		size = Size{80, 24}
	}
	session, err := c.StartSession(ctx, StartSession{Target: target, Size: size})
	if err != nil {
		return nil, err
	}
	return session.shell()
}

// shell opens a session's terminal.
func (s *Session) shell() (*Shell, error) {
	stdio, err := s.Stdio()
	if err != nil {
		s.Close()
		return nil, err
	}
	return &Shell{stdio, s}, nil
}

// Resize tells the far terminal its size. The last size counts.
func (s *Shell) Resize(size Size) error { return s.session.Resize(size) }

// Session returns the session that the shell runs in.
func (s *Shell) Session() *Session { return s.session }

// Close ends the shell and its session.
func (s *Shell) Close() error {
	s.session.Close()
	return s.Conn.Close()
}
