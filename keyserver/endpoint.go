package keyserver

// Endpoint is one operation over HTTP: where it is, and how large a body may be in either
// direction. Both sides refuse a larger one before they read it.
type Endpoint struct {
	Path       string
	MaxRequest int64 // bytes
	MaxReply   int64 // bytes; errors have at most MaxErrorBody
}

// MaxErrorBody bounds the body of an answer whose status is not 200, in bytes.
const MaxErrorBody = MaxErrorText + 16

// slack is room for length prefixes and fixed fields.
const slack = 512

// The endpoints (PROTOCOL.md section 4).
var (
	EndpointRegister = Endpoint{"/v1/register", MaxHandle + MaxEntry + slack, slack}
	EndpointAppend   = Endpoint{"/v1/append", MaxEntry + slack, slack}
	EndpointLookup   = Endpoint{"/v1/lookup", slack, MaxEntries*(MaxEntry+4) + slack}
	EndpointUpload   = Endpoint{"/v1/upload", (MaxUpload+1)*(MaxPackage+4) + slack, slack}
	EndpointTake     = Endpoint{"/v1/take", slack, MaxDevices*(MaxPackage+64) + slack}
	EndpointStock    = Endpoint{"/v1/stock", slack, slack}
	EndpointPutChunk = Endpoint{"/v1/chunk/put", MaxChunk + slack, slack}
	EndpointGetChunk = Endpoint{"/v1/chunk/get", slack, MaxChunk + slack}
)
