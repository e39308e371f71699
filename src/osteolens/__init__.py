"""OsteoLens reads antero-posterior knee X-rays for osteoporosis and explains each answer with Grad-CAM.

Research software, not a diagnostic device.
"""

__version__ = "0.1.0"
