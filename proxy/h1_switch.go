package proxy

import "strings"

// checkSwitch accepts a 101 only for a WebSocket that the client asked for (I11).
func (s *h1) checkSwitch() error {
	upgrade, _ := s.resp.Header.Get("Upgrade")
	if !s.upgrade || !strings.EqualFold(upgrade, "websocket") || !s.resp.Header.HasToken("Connection", "Upgrade") {
		return failProtocol.because("the upstream switched to a protocol that was not asked for")
	}
	return nil
}

// switchProtocols passes the 101 on and relays the WebSocket.
func (s *h1) switchProtocols(up *upstream) {
	defer up.close()
	s.upload.stop()
	s.Status = s.resp.Status
	if err := s.cleanHead(); err != nil {
		s.fail(err)
		return
	}
	s.resp.Header = append(s.resp.Header, upgradeFields[:]...)
	s.out = s.resp.Append(s.out[:0])
	if s.flush() != nil {
		return
	}
	s.BytesReceived, s.BytesSent = s.c.relay(s.client, up.wire)
}
