<?php
// client.php VERSION MODE BASE: the modes of ../clients_test.go, with PHP's curl extension.

[, $version, $mode, $base] = $argv;

const BOGUS = 'Authorization: Bearer bogus-of-the-client';

// call sends a request and fails unless the answer is 200.
function call(string $path, array $options = [], array $fields = []): void
{
    global $base, $version;
    $c = curl_init($base . $path);
    curl_setopt_array($c, $options + [
        CURLOPT_HTTPHEADER => [BOGUS, ...$fields],
        CURLOPT_HEADERFUNCTION => function ($c, $line) {
            echo preg_replace('/^x-last-word:/i', 'trailer $0', $line);
            return strlen($line);
        },
        CURLOPT_HTTP_VERSION => $version === '2' ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1,
        CURLOPT_TIMEOUT => 60,
        CURLOPT_FAILONERROR => true,
    ]);
    if (curl_exec($c) === false && !($GLOBALS['done'] ?? false)) {
        fwrite(STDERR, curl_error($c) . "\n");
        exit(1);
    }
}

// post streams a file.
function post(string $path, string $name, array $fields = []): void
{
    call($path, [
        CURLOPT_UPLOAD => true,
        CURLOPT_CUSTOMREQUEST => 'POST',
        CURLOPT_INFILE => fopen($name, 'rb'),
        CURLOPT_INFILESIZE => filesize($name),
    ], $fields);
}

function save(string $path, string $name): void
{
    $file = fopen($name, 'wb');
    call($path, [CURLOPT_FILE => $file]);
    fclose($file);
}

// lines prints up to so many lines, each as soon as it is there.
function lines(string $path, int $most = PHP_INT_MAX): void
{
    $rest = '';
    call($path, [CURLOPT_WRITEFUNCTION => function ($c, $part) use (&$rest, &$most) {
        $lines = explode("\n", $rest . $part);
        $rest = array_pop($lines);
        foreach ($lines as $line) {
            echo "$line\n";
            if (--$most === 0) {
                $GLOBALS['done'] = true;
                return 0; // ends the transfer, and the connection with it
            }
        }
        return strlen($part);
    }]);
}

switch ($mode) {
    case 'get':
        call('/echo');
        break;
    case 'all':
        call('/echo');
        post('/upload', 'upload.bin');
        save('/download', 'download.bin');
        break;
    case 'large-upload':
        post('/large', 'large.bin');
        break;
    case 'large-download':
        save('/large', 'large-download.bin');
        break;
    case 'stream':
    case 'events':
        lines("/$mode");
        break;
    case 'continue':
        post('/continue', 'upload.bin', ['Expect: 100-continue']);
        break;
    case 'redirect':
        call('/redirect', [CURLOPT_FOLLOWLOCATION => true]);
        break;
    case 'gzip':
        call('/gzip', [CURLOPT_ENCODING => 'gzip']);
        break;
    case 'trailers':
        call('/trailers', [], ['TE: trailers']);
        break;
    case 'hang-up':
        lines('/forever', 1);
        break;
    default:
        fwrite(STDERR, "no such mode\n");
        exit(64);
}
