/** NOTIFIER: sends messages to people and their tools, by webhook or mail. */
import { createHmac } from 'node:crypto'
import { createTransport } from 'nodemailer'
import type { MailTarget, Message, WebhookTarget } from '../../contract/api/notifications.ts'

/** Past this the other side hangs; the message is tried again later. */
const timeoutMs = 10_000

export type Notifier = {
  /** @param secret signs the body when it is not empty @throws Error in words for an admin */
  webhook: (target: WebhookTarget, secret: string, message: Message) => Promise<void>
  /** @param secret password of the account; not used without a user name @throws Error in words for an admin */
  mail: (target: MailTarget, secret: string, message: Message) => Promise<void>
}

export const openNotifier = (version: string): Notifier => ({
  webhook: async ({ url }, secret, message) => {
    const body = JSON.stringify(message)
    const signature = createHmac('sha256', secret).update(body).digest('hex')
    let response: Response
    try {
      response = await fetch(url, {
        method: 'POST',
        headers: {
          'Content-Type': 'application/json',
          'User-Agent': `sendense-hub/${version}`,
          ...(secret === '' ? {} : { 'X-Sendense-Signature': `sha256=${signature}` }),
        },
        body,
        // Where it leads is the admin's to say, not the other side's.
        redirect: 'error',
        signal: AbortSignal.timeout(timeoutMs),
      })
    } catch (error) {
      const { cause, message: why } = error as Error
      throw new Error(`the address does not answer: ${(cause as NodeJS.ErrnoException)?.code ?? why}`)
    }
    await response.body?.cancel()
    if (!response.ok) throw new Error(`the address answers with status ${response.status}`)
  },

  mail: async ({ host, port, tls, username, from, to }, secret, message) => {
    const transport = createTransport({
      host,
      port,
      secure: tls,
      connectionTimeout: timeoutMs,
      greetingTimeout: timeoutMs,
      socketTimeout: timeoutMs,
      disableFileAccess: true,
      disableUrlAccess: true,
      ...(username === '' ? {} : { auth: { user: username, pass: secret } }),
    })
    try {
      await transport.sendMail({
        from,
        to,
        subject: `Sendense: ${message.text}`.replace(/[\r\n]+/g, ' ').slice(0, 200),
        text: [message.text, '', ...(message.details ? [message.details, ''] : []), `Time: ${message.at}`].join('\n'),
        headers: { 'X-Sendense-Event': message.event },
      })
    } catch (error) {
      const { code, responseCode } = error as { code?: string; responseCode?: number }
      throw new Error(`the mail server refuses the message: ${responseCode ?? code ?? 'unknown error'}`)
    } finally {
      transport.close()
    }
  },
})
