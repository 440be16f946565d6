/** Credentials, in the shape of the AWS SDK for JavaScript v3. */

import * as check from './check'
import { native } from './load'
import type { CredentialsRequest, CredentialsSource, Keys } from './native'
import { listen, unlisten } from './waiting'

/** Keys that requests are signed with; the SDK's `AwsCredentialIdentity`. */
export interface AwsCredentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
  /** When to ask for new ones. */
  readonly expiration?: Date
}

/** Supplies keys, and is asked again when they have expired; the SDK's `AwsCredentialIdentityProvider`. */
export type AwsCredentialsProvider = () => PromiseLike<AwsCredentials> | AwsCredentials

/** Checks keys. */
export function keys(given: AwsCredentials): Keys {
  const sessionToken = check.optionalText('credentials.sessionToken', given.sessionToken)
  return {
    accessKeyId: check.text('credentials.accessKeyId', given.accessKeyId),
    secretAccessKey: check.text('credentials.secretAccessKey', given.secretAccessKey),
    ...(sessionToken === undefined ? {} : { sessionToken }),
  }
}

/** Makes what a client asks for credentials. `provider` runs in this thread, when it is asked. */
export function source(provider: AwsCredentialsProvider): CredentialsSource {
  const made = new native.CredentialsSource()
  const tag = made.tag
  const again = () => {
    for (;;) {
      const request = made.request()
      if (request === undefined) {
        return
      }
      if (request === null) {
        unlisten(tag)
        return
      }
      void answer(request, provider)
    }
  }
  listen(tag, again)
  again()
  return made
}

async function answer(request: CredentialsRequest, provider: AwsCredentialsProvider): Promise<void> {
  try {
    const given = await provider()
    if (typeof given !== 'object' || given === null) {
      throw check.wrongType('credentials', 'an object', given)
    }
    const { accessKeyId, secretAccessKey, sessionToken } = keys(given)
    request.answer(accessKeyId, secretAccessKey, sessionToken, given.expiration?.getTime())
  } catch (error) {
    request.fail(`the credentials function failed: ${error}`)
  }
}
