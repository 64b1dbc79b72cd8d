//go:build clients

package clients

var cloudClients []client

var cloudTools []tool

var cloudAPIs []*api
