/**
 * The AWS SDK's own defaults, set explicitly. What is not set, each client looks up in `AWS_*` variables and then in
 * the files of `~/.aws`, even when it has an endpoint and keys: `use_fips_endpoint = true` there would break it.
 */
export const sdkDefaults = {
  defaultsMode: "legacy",
  maxAttempts: 3,
  retryMode: "standard",
  useFipsEndpoint: false,
  useDualstackEndpoint: false,
  useArnRegion: false,
  disableClockSkewCorrection: false,
  disableS3ExpressSessionAuth: false,
  requestChecksumCalculation: "WHEN_SUPPORTED",
  responseChecksumValidation: "WHEN_SUPPORTED",
  ignoreConfiguredEndpointUrls: true,
  authSchemePreference: noPreference,
  sigv4aSigningRegionSet: unset,
  userAgentAppId: unset,
} as const;

async function noPreference(): Promise<string[]> {
  return [];
}

async function unset(): Promise<undefined> {
  return undefined;
}
