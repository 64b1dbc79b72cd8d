//go:build clients

package clients

var browserClients []client

var browserTools []tool

var browserAPIs []*api
