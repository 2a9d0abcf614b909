/** GET /admin/doctor: what the doctor found last. */
import { examination } from '../../../contract/api/doctor.ts'
import { defineFunction } from '../../../runtime/function.ts'

export default defineFunction(
  { summary: 'What the doctor found', needs: ['AGENT'], responses: { 200: examination } },
  ({ env: { AGENT } }) => AGENT.lastExamination(),
)
